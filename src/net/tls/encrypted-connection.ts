/**
 * A TLS socket as libp2p sees connections. Made by `encrypter.ts` once the peer is known; from then on it alone reads and
 * writes the socket.
 */

import type { TLSSocket } from 'node:tls'
import type { AbortOptions, MultiaddrConnection } from '@libp2p/interface'
import { AbstractMultiaddrConnection, type SendResult } from '@libp2p/utils'
import type { Uint8ArrayList } from 'uint8arraylist'
import { raceAbort } from '../../common/abort.ts'

export class EncryptedConnection extends AbstractMultiaddrConnection {
  readonly #transport: MultiaddrConnection
  readonly #socket: TLSSocket
  readonly #onWritten: ((bytes: Uint8Array) => void) | undefined

  /**
   * @param transport - what `socket` runs on; it closes when the socket does, and the other way round
   * @param socket - after its handshake
   * @param onWritten - told of bytes that are encrypted and on their way
   */
  constructor(transport: MultiaddrConnection, socket: TLSSocket, onWritten?: (bytes: Uint8Array) => void) {
    super({
      log: transport.log,
      direction: transport.direction,
      remoteAddr: transport.remoteAddr,
      inactivityTimeout: transport.inactivityTimeout,
      maxReadBufferLength: transport.maxReadBufferLength,
    })
    this.#transport = transport
    this.#socket = socket
    this.#onWritten = onWritten
    socket.on('data', (chunk) => this.onData(chunk))
    socket.on('drain', () => this.safeDispatchEvent('drain'))
    // Not left to the socket, which would first send what nobody reads any more.
    socket.on('end', () => socket.destroy())
    transport.addEventListener('close', ({ error }) => this.onTransportClosed(error))
  }

  /** All of it, so that a frame and its header go out as one record, also when the socket says that it is full. */
  sendData(data: Uint8ArrayList): SendResult {
    let canSendMore = true
    this.#socket.cork()
    for (const chunk of data) canSendMore = this.#write(chunk)
    this.#socket.uncork()
    return { sentBytes: data.byteLength, canSendMore }
  }

  async sendClose({ signal }: AbortOptions = {}): Promise<void> {
    if (this.#socket.closed) return
    const closed = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()))
    this.#socket.destroySoon()
    await raceAbort(closed, { signal })
  }

  sendReset(error: Error): void {
    // A TCP socket cannot be reset while it is shut down.
    if (this.#socket.writableEnded) this.#socket.destroy()
    else this.#transport.abort(error)
  }

  sendPause(): void {
    this.#socket.pause()
  }

  sendResume(): void {
    this.#socket.resume()
  }

  #write(chunk: Uint8Array): boolean {
    return this.#socket.write(chunk, (error) => {
      if (error == null) this.#onWritten?.(chunk)
    })
  }
}
