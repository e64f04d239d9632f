/**
 * libp2p's connection encryption by TLS 1.3, with the choice of the stream muxer in the handshake. Called by libp2p, for
 * TCP connections: the TLS socket takes over the TCP socket itself, so that no byte passes through JavaScript between
 * them. Specification: https://github.com/libp2p/specs/blob/master/tls/tls.md
 */

import { Socket } from 'node:net'
import { connect, createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import {
  type ConnectionEncrypter,
  InvalidCryptoExchangeError,
  type MessageStream,
  type MultiaddrConnection,
  type PrivateKey,
  type SecureConnectionOptions,
  type SecuredConnection,
  type StreamMessageEvent,
  type StreamMuxerFactory,
  type Upgrader,
} from '@libp2p/interface'
import { raceAbort } from '../../common/abort.ts'
import { makeCertificate } from './certificate.ts'
import { EncryptedConnection } from './encrypted-connection.ts'
import { verifyCertificate } from './verify.ts'

/** Offered after the muxers, for peers that choose theirs after the handshake. */
const NO_EARLY_MUXER = 'libp2p'

export interface TlsComponents {
  privateKey: PrivateKey
  upgrader: Upgrader
}

export interface TlsOptions {
  /** Told of bytes that are encrypted and on their way: nobody here looks at them any more. */
  onWritten?: ((bytes: Uint8Array) => void) | undefined
}

/** A `connectionEncrypters` entry for libp2p. */
export function tls(options: TlsOptions = {}): (components: TlsComponents) => ConnectionEncrypter {
  return (components) => new TlsEncrypter(components, options)
}

class TlsEncrypter implements ConnectionEncrypter {
  readonly protocol = '/tls/1.0.0'
  readonly #components: TlsComponents
  readonly #options: TlsOptions
  #context: Promise<SecureContext> | undefined

  constructor(components: TlsComponents, options: TlsOptions) {
    this.#components = components
    this.#options = options
  }

  async secureInbound(connection: MessageStream, options?: SecureConnectionOptions): Promise<SecuredConnection> {
    return await this.#secure(connection, { ...options, isServer: true })
  }

  async secureOutbound(connection: MessageStream, options?: SecureConnectionOptions): Promise<SecuredConnection> {
    return await this.#secure(connection, { ...options, isServer: false })
  }

  async #secure(
    connection: MessageStream,
    { isServer, signal, remotePeer, skipStreamMuxerNegotiation }: SecureConnectionOptions & { isServer: boolean },
  ): Promise<SecuredConnection> {
    this.#context ??= createContext(this.#components.privateKey)
    const secureContext = await this.#context
    signal?.throwIfAborted()
    const muxers = skipStreamMuxerNegotiation === true ? new Map() : this.#components.upgrader.getStreamMuxers()
    const options = {
      secureContext,
      requestCert: true,
      // The peer's certificate is not for OpenSSL to judge, but for `verify.ts`.
      rejectUnauthorized: false,
      ALPNProtocols: [...muxers.keys(), NO_EARLY_MUXER],
    }
    const transport = requireTcp(connection)
    takeOver(transport)
    const socket = isServer
      ? new TLSSocket(transport.socket, { ...options, isServer })
      : connect({ ...options, socket: transport.socket })
    socket.on('error', (error) => transport.abort(error))
    // Where a server's socket puts its errors after the handshake unless a `tls.Server` made it.
    socket.on('_tlsError', (error: Error) => socket.destroy(error))
    try {
      await raceAbort(untilSecure(socket), { signal })
      const certificate = peerCertificateOf(socket)
      const verifying = verifyCertificate(certificate, { expected: remotePeer, now: Date.now() })
      const peerId = await raceAbort(verifying, { signal })
      if (socket.destroyed) throw new InvalidCryptoExchangeError('The connection ended during the handshake')
      const streamMuxer = muxerOf(socket, muxers)
      return {
        remotePeer: peerId,
        connection: new EncryptedConnection(transport, socket, this.#options.onWritten),
        ...(streamMuxer === undefined ? {} : { streamMuxer }),
      }
    } catch (error) {
      transport.abort(error as Error)
      socket.destroy()
      throw error
    }
  }
}

async function createContext(privateKey: PrivateKey): Promise<SecureContext> {
  return createSecureContext({
    ...(await makeCertificate(privateKey)),
    minVersion: 'TLSv1.3',
    // Nobody to trust; left out, some 140 certificate authorities are loaded.
    ca: [],
  })
}

interface TcpConnection extends MultiaddrConnection {
  readonly socket: Socket
}

/** `@libp2p/tcp` keeps the socket in a property that is private in its types only. */
function requireTcp(connection: MessageStream): TcpConnection {
  if ((connection as Partial<TcpConnection>).socket instanceof Socket) return connection as TcpConnection
  throw new InvalidCryptoExchangeError('TLS needs a TCP connection')
}

/** Keeps the connection from reading its socket, and gives back what it has read ahead. */
function takeOver(connection: TcpConnection): void {
  const { socket } = connection
  if (socket.destroyed) throw new InvalidCryptoExchangeError('The connection ended before the handshake')
  const readAhead: Uint8Array[] = []
  const collect = ({ data }: StreamMessageEvent) => readAhead.push(data.subarray())
  connection.pause()
  connection.addEventListener('message', collect)
  // Hands out what is buffered, before it returns.
  connection.resume()
  connection.removeEventListener('message', collect)
  socket.removeAllListeners('data')
  socket.pause()
  for (const chunk of readAhead.reverse()) socket.unshift(chunk)
}

function untilSecure(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    // Later, because Node crashes when the TCP and the TLS socket are both destroyed inside this event.
    socket.once('secure', () => setImmediate(resolve))
    socket.once('error', reject)
    socket.once('close', () => reject(new InvalidCryptoExchangeError('The peer ended the handshake')))
  })
}

/** Undefined where it is left to be chosen after the handshake. */
function muxerOf({ alpnProtocol }: TLSSocket, muxers: Map<string, StreamMuxerFactory>): StreamMuxerFactory | undefined {
  if (typeof alpnProtocol !== 'string' || alpnProtocol === NO_EARLY_MUXER) return undefined
  const muxer = muxers.get(alpnProtocol)
  if (muxer === undefined) throw new InvalidCryptoExchangeError('The peer chose a stream muxer that was not offered')
  return muxer
}

function peerCertificateOf(socket: TLSSocket): Uint8Array {
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) throw new InvalidCryptoExchangeError('The peer showed no certificate')
  if (certificate.issuerCertificate !== undefined) {
    throw new InvalidCryptoExchangeError('The peer showed more than one certificate')
  }
  return certificate.raw
}
