/** The other side of `leaf-hasher.ts`, in a thread of its own. */

import { parentPort } from 'node:worker_threads'
import { digestOf } from './block.ts'
import type { HashRequest } from './leaf-hasher.ts'

parentPort?.on('message', ({ hashCode, memory, byteOffset, byteLength }: HashRequest) => {
  parentPort?.postMessage(digestOf(hashCode, new Uint8Array(memory, byteOffset, byteLength))!)
})
