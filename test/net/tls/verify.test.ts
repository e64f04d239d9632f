import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import fc from 'fast-check'
import { makeCertificate } from '../../../src/net/tls/certificate.ts'
import { encodeDer, TAG } from '../../../src/net/tls/der.ts'
import { verifyCertificate } from '../../../src/net/tls/verify.ts'
import {
  buildCertificate,
  type CertificateParts,
  ecKeys,
  extension,
  libp2pExtension,
  OIDS,
  signedKeyOf,
  spkiOf,
} from './certificates.ts'

interface Vectors {
  valid: { hostKey: string; peerId: string; certificate: string }[]
  invalid: { reason: string; certificate: string }[]
}

const NOW = Date.parse('2026-08-01T00:00:00Z')
const SEED = 20260801

/** The tests run in the root of the project. */
const vectors = JSON.parse(readFileSync('fixtures/tls-certificates.json', 'utf8')) as Vectors

async function peerIdOf(certificate: Uint8Array, now = NOW): Promise<string> {
  return (await verifyCertificate(certificate, { now })).toString()
}

/** Whatever a stranger sends ends in this error: others would be defects of ours. */
async function assertInvalid(certificate: Uint8Array, message?: RegExp, now = NOW): Promise<void> {
  await assert.rejects(peerIdOf(certificate, now), (error: Error) => {
    assert.equal(error.name, 'InvalidCryptoExchangeError')
    if (message !== undefined) assert.match(error.message, message)
    return true
  })
}

describe('the vectors of the specification', () => {
  for (const { hostKey, peerId, certificate } of vectors.valid) {
    // The libraries have no peer ids for ECDSA host keys, so such peers are refused.
    if (hostKey === 'ECDSA') {
      test('ECDSA: the peer is refused', () => assertInvalid(Buffer.from(certificate, 'hex')))
      continue
    }
    test(`${hostKey}: the peer is found`, async () => {
      assert.equal(await peerIdOf(Buffer.from(certificate, 'hex')), peerId)
    })
  }
  for (const { reason, certificate } of vectors.invalid) {
    test(`refused: ${reason}`, async () => {
      await assertInvalid(Buffer.from(certificate, 'hex'), /its host key has not signed it/)
    })
  }
})

describe('a certificate that this node makes', () => {
  const hostKeys = {
    Ed25519: () => generateKeyPair('Ed25519'),
    secp256k1: () => generateKeyPair('secp256k1'),
    RSA: () => generateKeyPair('RSA'),
  }
  for (const [type, generate] of Object.entries(hostKeys)) {
    test(`belongs to its ${type} host key`, async () => {
      const hostKey = await generate()
      const { cert } = await makeCertificate(hostKey)
      assert.equal(await peerIdOf(new X509Certificate(cert).raw), hostKey.publicKey.toString())
    })
  }

  test('can be read whatever its length', async () => {
    const hostKey = await generateKeyPair('Ed25519')
    const lengths = new Set<number>()
    // Its signatures differ in length; the last line of the PEM is full with some of them.
    while (lengths.size < 3) {
      const { raw } = new X509Certificate((await makeCertificate(hostKey)).cert)
      lengths.add(raw.length)
    }
  })
})

describe('the time of validity', () => {
  const certificate = () => buildCertificate({ notBefore: '20260101000000Z', notAfter: '20261231235959Z' })
  test('within it', async () => {
    await peerIdOf(await certificate(), Date.parse('2026-01-01T00:00:00Z'))
    await peerIdOf(await certificate(), Date.parse('2026-12-31T23:59:59Z'))
  })
  test('before it', async () => {
    await assertInvalid(await certificate(), /not valid yet/, Date.parse('2025-12-31T23:59:59Z'))
  })
  test('after it', async () => {
    await assertInvalid(await certificate(), /has expired/, Date.parse('2027-01-01T00:00:00Z'))
  })
  test('that is no time', async () => {
    await assertInvalid(await buildCertificate({ notBefore: 'yesterday' }))
  })
})

test('another peer than the expected one is refused', async () => {
  const [hostKey, other] = await Promise.all([generateKeyPair('Ed25519'), generateKeyPair('Ed25519')])
  const certificate = await buildCertificate({ hostKey })
  const expected = peerIdFromPrivateKey(hostKey)
  assert.ok(expected.equals(await verifyCertificate(certificate, { now: NOW, expected })))
  await assert.rejects(verifyCertificate(certificate, { now: NOW, expected: peerIdFromPrivateKey(other) }), {
    name: 'UnexpectedPeerError',
  })
})

describe('refused', () => {
  const cases: [what: string, message: RegExp, parts: () => Promise<Partial<CertificateParts>>][] = [
    ['a certificate signed by another key', /signature/, async () => ({ signer: ecKeys().privateKey })],
    [
      'a signature over a SHA-1 hash',
      /signature algorithm/,
      async () => ({ digest: 'sha1', signatureAlgorithm: OIDS.ecdsaWithSha1 }),
    ],
    ['explicit curve parameters', /DER tag/, async () => ({ keys: ecKeys('explicit') })],
    ['a subject unique id', /DER tag/, async () => ({ uniqueIds: [encodeDer(0x82, Uint8Array.of(0, 1))] })],
    ['no extensions', /DER/, async () => ({ extensions: undefined })],
    ['no libp2p extension', /no libp2p extension/, async () => ({ extensions: [] })],
    [
      'a critical extension of an unknown kind',
      /critical/,
      () => withExtensions((libp2p) => [libp2p, unknownExtension({ critical: true })]),
    ],
    ['two libp2p extensions', /two libp2p/, () => withExtensions((libp2p) => [libp2p, libp2p])],
    [
      'a host key that vouches for another certificate',
      /has not signed/,
      async () => {
        const hostKey = await generateKeyPair('Ed25519')
        return { hostKey, extensions: [libp2pExtension(await signedKeyOf(hostKey, spkiOf(ecKeys())))] }
      },
    ],
    [
      'a host key that is too long',
      /host key is too long/,
      async () => ({
        extensions: [
          libp2pExtension(
            encodeDer(
              TAG.sequence,
              encodeDer(TAG.octetString, Buffer.alloc(16_384, 0x30)),
              encodeDer(TAG.octetString, Buffer.alloc(64)),
            ),
          ),
        ],
      }),
    ],
  ]
  for (const [what, message, parts] of cases) {
    test(what, async () => assertInvalid(await buildCertificate(await parts()), message))
  }

  test('bytes after the certificate', async () => {
    await assertInvalid(Buffer.concat([await buildCertificate(), Uint8Array.of(0)]), /left over/)
  })
})

test('an extension of an unknown kind that is not critical is ignored', async () => {
  await peerIdOf(
    await buildCertificate(await withExtensions((libp2p) => [unknownExtension({ critical: false }), libp2p])),
  )
})

test('damage is refused, wherever it is', async () => {
  const certificate = await buildCertificate()
  await fc.assert(
    fc.asyncProperty(damageTo(certificate), async (damaged) => {
      if (!damaged.equals(certificate)) await assertInvalid(damaged)
    }),
    { seed: SEED, numRuns: 1000 },
  )
})

test('damage to the extension is refused, also when the certificate is signed anew', async () => {
  const [hostKey, keys] = [await generateKeyPair('secp256k1'), ecKeys()]
  const signedKey = await signedKeyOf(hostKey, spkiOf(keys))
  await fc.assert(
    fc.asyncProperty(damageTo(signedKey), async (damaged) => {
      if (damaged.equals(signedKey)) return
      const certificate = await buildCertificate({ hostKey, keys, extensions: [libp2pExtension(damaged)] })
      // A signature has more than one encoding; the peer stays the same.
      const peerId = await peerIdOf(certificate).catch(async () => assertInvalid(certificate))
      if (peerId !== undefined) assert.equal(peerId, hostKey.publicKey.toString())
    }),
    { seed: SEED, numRuns: 200 },
  )
})

test('bytes that are no certificate are refused', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), (bytes) => assertInvalid(bytes)),
    { seed: SEED },
  )
})

/** Some bytes changed, left out, said again or cut off. */
function damageTo(bytes: Uint8Array): fc.Arbitrary<Buffer> {
  const position = fc.nat({ max: bytes.length - 1 })
  return fc.oneof(
    fc.tuple(position, fc.integer({ min: 1, max: 255 })).map(([at, bits]) => {
      const changed = Buffer.from(bytes)
      changed[at]! ^= bits
      return changed
    }),
    fc.tuple(position, position).map(([from, to]) => Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)])),
    position.map((end) => Buffer.from(bytes.subarray(0, end))),
  )
}

function unknownExtension(options: { critical: boolean }): Uint8Array {
  return extension(OIDS.basicConstraints, encodeDer(TAG.sequence), options)
}

async function withExtensions(list: (libp2p: Uint8Array) => Uint8Array[]): Promise<Partial<CertificateParts>> {
  const [hostKey, keys] = [await generateKeyPair('Ed25519'), ecKeys()]
  return { keys, extensions: list(libp2pExtension(await signedKeyOf(hostKey, spkiOf(keys)))) }
}
