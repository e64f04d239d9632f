/**
 * The yardstick for `get`: one libp2p stream with the encryption and the window that `p2p` uses, that carries a file, and
 * a receiver that does what every receiver must, SHA-256 and one write to a file. Run by the bench in two processes:
 * `bare-stream.js send <file>` prints its address and serves; `bare-stream.js receive <multiaddr> <file>` fetches.
 */

import '../../src/common/node20.ts'
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import type { Libp2p, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { MiB } from '../../src/common/units.ts'
import { tls } from '../../src/net/tls/encrypter.ts'

const PROTOCOL = '/p2p-bench/bare-stream/1.0.0'
const READ_BYTES = MiB
/** The reader pauses the stream above the first mark and lets it go on below the second. */
const HIGH_WATER_BYTES = 8 * MiB
const LOW_WATER_BYTES = 2 * MiB

async function createNode(listen: string[]): Promise<Libp2p> {
  return await createLibp2p({
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [tls()],
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: 4 * MiB, maxReadBufferLength: 16 * MiB } })],
    connectionMonitor: { enabled: false },
  })
}

async function send(path: string): Promise<void> {
  const node = await createNode(['/ip4/127.0.0.1/tcp/0'])
  await node.handle(PROTOCOL, async (stream) => {
    const file = await open(path)
    try {
      for (;;) {
        const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(READ_BYTES))
        if (bytesRead === 0) break
        stream.send(buffer.subarray(0, bytesRead))
        while (stream.writeBufferLength > HIGH_WATER_BYTES) await nextDrain(stream)
      }
    } finally {
      await file.close()
    }
    await stream.close()
  })
  console.log(node.getMultiaddrs()[0]?.toString())
}

/** The stream's own `onDrain()` resolves at once from the second wait on. */
function nextDrain(stream: Stream): Promise<void> {
  return new Promise((resolve) => stream.addEventListener('drain', () => resolve(), { once: true }))
}

async function receive(address: string, path: string): Promise<void> {
  const node = await createNode([])
  // Before there is a stream: nobody would hear if its buffer ran over meanwhile.
  const file = await open(path, 'w')
  const stream = await node.dialProtocol(multiaddr(address), PROTOCOL)
  const hash = createHash('sha256')
  for await (const chunks of chunksOf(stream)) {
    for (const chunk of chunks) hash.update(chunk)
    await writeAll(file, chunks)
  }
  await file.close()
  console.log(hash.digest('hex'))
  await node.stop()
}

/** What has arrived since the last time, pausing the stream while the reader is behind. */
async function* chunksOf(stream: Stream): AsyncGenerator<Uint8Array[]> {
  let waiting: Uint8Array[] = []
  let waitingBytes = 0
  let ended = false
  let failure: Error | undefined
  let wake = () => {}
  stream.addEventListener('message', ({ data }) => {
    for (const chunk of data instanceof Uint8Array ? [data] : data) waiting.push(chunk)
    waitingBytes += data.byteLength
    // Not from inside the listener: what it pauses there is resumed when it returns.
    if (waitingBytes > HIGH_WATER_BYTES) {
      queueMicrotask(() => {
        if (waitingBytes > HIGH_WATER_BYTES && stream.readStatus === 'readable') stream.pause()
      })
    }
    wake()
  })
  stream.addEventListener('remoteCloseWrite', () => {
    ended = true
    wake()
  })
  stream.addEventListener('close', ({ error }) => {
    ended = true
    failure = error
    wake()
  })
  for (;;) {
    if (waiting.length > 0) {
      const chunks = waiting
      waiting = []
      waitingBytes = 0
      yield chunks
      if (waitingBytes < LOW_WATER_BYTES && stream.readStatus === 'paused') stream.resume()
      continue
    }
    if (failure !== undefined) throw failure
    if (ended) return
    await new Promise<void>((resolve) => {
      wake = resolve
    })
  }
}

async function writeAll(file: FileHandle, chunks: Uint8Array[]): Promise<void> {
  const total = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0)
  const { bytesWritten } = await file.writev(chunks)
  if (bytesWritten !== total) throw new Error(`only ${bytesWritten} of ${total} bytes could be written`)
}

const [role = '', ...args] = process.argv.slice(2)
if (role === 'send') await send(args[0] ?? '')
else if (role === 'receive') await receive(args[0] ?? '', args[1] ?? '')
else throw new Error('bare-stream.js send <file> | receive <multiaddr> <file>')
