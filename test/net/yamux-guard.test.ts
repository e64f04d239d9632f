import '../../src/common/node20.ts'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { MessageStream, StreamMuxerFactory } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import fc from 'fast-check'
import { createLibp2p } from 'libp2p'
import { MiB } from '../../src/common/units.ts'
import { createHost, type Host } from '../../src/net/host.ts'
import { FrameLengthGuard } from '../../src/net/yamux-guard.ts'
import { cleanUpAfter } from '../support/clean-up.ts'

/** A test that takes as long as this hangs. */
const TIME_LIMIT = { timeout: 60_000 }

const DATA = 0
const WINDOW_UPDATE = 1
const PING = 2

function header(type: number, length: number): Uint8Array {
  const bytes = new Uint8Array(12)
  bytes[1] = type
  bytes[7] = 1
  new DataView(bytes.buffer).setUint32(8, length)
  return bytes
}

test('a data length above the limit is found, however the bytes are cut', () => {
  const frame = fc.oneof(
    fc.record({ type: fc.constant(DATA), length: fc.integer({ min: 0, max: 40 }) }),
    fc.record({ type: fc.constantFrom(WINDOW_UPDATE, PING), length: fc.integer({ min: 0, max: 0xffffffff }) }),
  )
  const tooLong = fc.option(fc.integer({ min: 41, max: 0xffffffff }), { nil: undefined })
  fc.assert(
    fc.property(fc.array(frame), tooLong, fc.array(fc.integer({ min: 1, max: 30 })), (frames, bad, cuts) => {
      const parts = frames.flatMap(({ type, length }) =>
        // The content looks like a header that is too long.
        type === DATA ? [header(type, length), new Uint8Array(length).fill(0xff)] : [header(type, length)],
      )
      if (bad !== undefined) parts.push(header(DATA, bad))
      const bytes = Buffer.concat(parts)
      const guard = new FrameLengthGuard(40)
      const found: number[] = []
      for (let position = 0, index = 0; position < bytes.length; index++) {
        const size = cuts.length === 0 ? bytes.length : cuts[index % cuts.length]!
        const length = guard.findTooLong(bytes.subarray(position, position + size))
        if (length !== undefined) found.push(length)
        position += size
      }
      assert.deepEqual(found, bad === undefined ? [] : [bad])
    }),
  )
})

/** Dials, and waits until the other end has the connection too. */
async function connected<T>(to: Host, dial: () => Promise<T>): Promise<T> {
  const [result] = await Promise.all([dial(), once(to.libp2p, 'peer:connect')])
  return result
}

for (const [name, encrypter] of [
  ['TLS', tls()],
  ['Noise', noise()],
] as const) {
  test(`a frame that claims 4 GiB ends the connection over ${name}, and only that`, TIME_LIMIT, async (t) => {
    const victim = await createHost({
      privateKey: await generateKeyPair('Ed25519'),
      listen: ['/ip4/127.0.0.1/tcp/0'],
      services: {},
    })
    cleanUpAfter(t, () => victim.stop())
    await victim.start()
    const address = multiaddr(victim.multiaddrs()[0]!)

    let wire: MessageStream | undefined
    const attacker = await createLibp2p({
      transports: [tcp()],
      connectionEncrypters: [encrypter],
      // It would end the connection for the victim.
      connectionMonitor: { enabled: false },
      streamMuxers: [
        (): StreamMuxerFactory => {
          const factory = yamux()()
          const createStreamMuxer = factory.createStreamMuxer.bind(factory)
          factory.createStreamMuxer = (connection) => {
            wire = connection
            return createStreamMuxer(connection)
          }
          return factory
        },
      ],
    })
    cleanUpAfter(t, () => attacker.stop())
    const honest = await createHost({ privateKey: await generateKeyPair('Ed25519'), listen: [], services: {} })
    cleanUpAfter(t, () => honest.stop())
    await honest.start()
    await connected(victim, () => honest.connect({ peerId: victim.peerId, multiaddrs: victim.multiaddrs() }))

    const connection = await connected(victim, () => attacker.dial(address))
    const gone = once(victim.libp2p, 'peer:disconnect')
    const closed = once(connection, 'close')
    wire!.send(header(DATA, 0xffffffff))
    wire!.send(new Uint8Array(MiB))
    await gone
    await closed
    assert.deepEqual(victim.libp2p.getPeers().map(String), [honest.peerId])
  })
}
