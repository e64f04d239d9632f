/** The other side of `leaf-hasher.ts`, in a thread of its own. */

import { parentPort } from 'node:worker_threads'
import { digestRequested, type HashRequest } from './leaf-hasher.ts'

parentPort?.on('message', (request: HashRequest) => parentPort?.postMessage(digestRequested(request)))
