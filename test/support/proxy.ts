/**
 * A TCP proxy on 127.0.0.1 that counts, slows, delays, stalls and cuts: the bad link, and the witness of how many bytes
 * really moved. A seeder that is started with `--announce` of its address is reached only through it.
 */

import { createServer, connect as netConnect, type Server, type Socket } from 'node:net'
import { sleep } from '../../src/common/abort.ts'
import { KiB, MiB, SECOND_MS } from '../../src/common/units.ts'
import { type CleanUpScope, cleanUpAfter } from './clean-up.ts'

/** What a delayed link may hold on its way, as the buffers of a real one. */
const MAX_IN_FLIGHT_BYTES = 16 * MiB

/** How far the pace may fall behind the clock and catch up: the lateness of timers on a busy machine, less than a burst. */
const CATCH_UP_MS = 50

/** How long the largest piece takes that passes in one go: what a slow link lets through comes evenly. */
const PIECE_MS = 10
const MIN_PIECE_BYTES = KiB

export interface ProxyOptions {
  /** Port on 127.0.0.1 that connections are passed on to; may be given later. */
  targetPort?: number
  /** Most bytes a second in each direction, all connections together. Default: no limit. */
  bytesPerSecond?: number
  /** Milliseconds that every byte is under way, in each direction. Default 0. */
  delayMs?: number
}

/** One direction of all connections together. */
interface Lane {
  bytes: number
  freeAtMs: number
}

export class TcpProxy {
  /** Where connections are passed on to. */
  targetPort: number
  bytesPerSecond: number
  readonly delayMs: number
  connections = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #toTarget: Lane = { bytes: 0, freeAtMs: 0 }
  readonly #fromTarget: Lane = { bytes: 0, freeAtMs: 0 }
  #stall: { over: Promise<void>; end: () => void } | undefined

  constructor({ targetPort = 0, bytesPerSecond = Number.POSITIVE_INFINITY, delayMs = 0 }: ProxyOptions) {
    this.targetPort = targetPort
    this.bytesPerSecond = bytesPerSecond
    this.delayMs = delayMs
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket))
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(0, '127.0.0.1', resolve)
    })
  }

  get port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the proxy does not listen')
    return address.port
  }

  /** Its address as a multiaddr, without a peer id. */
  get multiaddr(): string {
    return `/ip4/127.0.0.1/tcp/${this.port}`
  }

  /** Bytes passed on to the target. */
  get bytesToTarget(): number {
    return this.#toTarget.bytes
  }

  /** Bytes passed back from the target. */
  get bytesFromTarget(): number {
    return this.#fromTarget.bytes
  }

  /** Lets nothing through in either direction until {@link resume}; connections stay open. */
  stall(): void {
    if (this.#stall !== undefined) return
    let end = () => {}
    const over = new Promise<void>((resolve) => {
      end = resolve
    })
    this.#stall = { over, end }
  }

  resume(): void {
    this.#stall?.end()
    this.#stall = undefined
  }

  /** Resets every connection and refuses new ones. */
  async cut(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const socket of this.#sockets) socket.resetAndDestroy()
    this.resume()
    await closed
  }

  #accept(fromClient: Socket): void {
    this.connections++
    const toServer = netConnect({ host: '127.0.0.1', port: this.targetPort, allowHalfOpen: true })
    for (const [socket, other] of [
      [fromClient, toServer],
      [toServer, fromClient],
    ] as const) {
      this.#sockets.add(socket)
      socket.setNoDelay(true)
      // A side that ends in order is ended in order on the other, by the pump; one that breaks breaks the other.
      socket.on('error', () => other.resetAndDestroy())
      socket.on('close', () => this.#sockets.delete(socket))
    }
    // What breaks a pump is the error of a socket, which is handled above.
    this.#pump(fromClient, toServer, this.#toTarget).catch(() => {})
    this.#pump(toServer, fromClient, this.#fromTarget).catch(() => {})
  }

  async #pump(from: Socket, to: Socket, lane: Lane): Promise<void> {
    let inFlightBytes = 0
    // Without the option the end of what this side sends would also destroy its other direction.
    for await (const chunk of from.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      for (const piece of this.#piecesOf(chunk)) {
        await this.#stall?.over
        await this.#pace(piece.byteLength, lane)
        lane.bytes += piece.byteLength
        if (this.delayMs === 0) {
          if (!to.write(piece)) await drained(to)
          continue
        }
        inFlightBytes += piece.byteLength
        // Timers of the same length fire in the order in which they were set, so the bytes stay in order.
        setTimeout(() => {
          inFlightBytes -= piece.byteLength
          to.write(piece)
        }, this.delayMs)
        while (inFlightBytes + to.writableLength > MAX_IN_FLIGHT_BYTES) await sleep(1)
      }
    }
    setTimeout(() => to.end(), this.delayMs)
  }

  *#piecesOf(chunk: Buffer): Generator<Buffer> {
    const size = Math.max(MIN_PIECE_BYTES, Math.floor((this.bytesPerSecond * PIECE_MS) / SECOND_MS))
    for (let start = 0; start < chunk.byteLength; start += size) yield chunk.subarray(start, start + size)
  }

  async #pace(byteCount: number, lane: Lane): Promise<void> {
    if (this.bytesPerSecond === Number.POSITIVE_INFINITY) return
    const now = performance.now()
    lane.freeAtMs = Math.max(lane.freeAtMs, now - CATCH_UP_MS) + (byteCount / this.bytesPerSecond) * SECOND_MS
    if (lane.freeAtMs > now) await sleep(lane.freeAtMs - now)
  }
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off('drain', done)
      socket.off('close', done)
      resolve()
    }
    socket.on('drain', done)
    socket.on('close', done)
  })
}

/** Starts a proxy that ends with the scope. */
export async function startProxy(scope: CleanUpScope, options: ProxyOptions = {}): Promise<TcpProxy> {
  const proxy = new TcpProxy(options)
  await proxy.listen()
  cleanUpAfter(scope, () => proxy.cut())
  return proxy
}

/**
 * A port of 127.0.0.1 that nobody listens on, for a process that has to be told its port. Taken from below the range
 * that outgoing connections get theirs from, so that it stays free until it is used.
 */
export async function findFreePort(): Promise<number> {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 15_000)
    const server = createServer()
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!free) continue
    await new Promise((resolve) => server.close(resolve))
    return port
  }
}
