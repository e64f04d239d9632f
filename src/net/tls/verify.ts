/**
 * Who a peer is by the certificate that it showed in the TLS handshake. Called by `encrypter.ts`. Certificates come from
 * strangers: whatever they hold ends in a peer id or in an error.
 * Specification: https://github.com/libp2p/specs/blob/master/tls/tls.md#peer-authentication
 */

import { X509Certificate } from 'node:crypto'
import { publicKeyFromProtobuf } from '@libp2p/crypto/keys'
import { InvalidCryptoExchangeError, type PeerId, UnexpectedPeerError } from '@libp2p/interface'
import { peerIdFromPublicKey } from '@libp2p/peer-id'
import { messageOf } from '../../common/errors.ts'
import { LIBP2P_EXTENSION_OID, signedBytes } from './certificate.ts'
import { DerReader, TAG } from './der.ts'

/** Above what an RSA host key of 8,192 bits and its signature take. */
const MAX_HOST_KEY_BYTES = 2048
const MAX_SIGNATURE_BYTES = 2048

/** 1.2.840.10045.2.1 */
const EC_PUBLIC_KEY_OID = '2a8648ce3d0201'

/** Hashes below 256 bits must not be used, so the algorithms that sign with them are not here. */
const SIGNATURE_ALGORITHM_OIDS = new Set([
  '2a8648ce3d040302', // ecdsa-with-SHA256
  '2a8648ce3d040303', // ecdsa-with-SHA384
  '2a8648ce3d040304', // ecdsa-with-SHA512
  '2b6570', // Ed25519
  '2a864886f70d01010b', // sha256WithRSAEncryption
  '2a864886f70d01010c', // sha384WithRSAEncryption
  '2a864886f70d01010d', // sha512WithRSAEncryption
])

export interface VerifyOptions {
  /** The peer that the certificate has to belong to; undefined if anyone is welcome. */
  expected?: PeerId | undefined
  /** Unix time in milliseconds. */
  now: number
}

/**
 * The peer whose host key vouches for the certificate.
 *
 * @param certificate - in DER
 * @throws InvalidCryptoExchangeError for a certificate that does not meet the specification
 * @throws UnexpectedPeerError for a sound certificate of another peer
 */
export async function verifyCertificate(certificate: Uint8Array, { expected, now }: VerifyOptions): Promise<PeerId> {
  let peerId: PeerId
  try {
    peerId = await verifyPeer(certificate, now)
  } catch (error) {
    throw new InvalidCryptoExchangeError(`Invalid certificate: ${messageOf(error)}`)
  }
  if (expected?.equals(peerId) === false) throw new UnexpectedPeerError(`Expected ${expected}, found ${peerId}`)
  return peerId
}

async function verifyPeer(certificate: Uint8Array, now: number): Promise<PeerId> {
  const { subjectPublicKeyInfo, signedKey } = parseCertificate(certificate)
  const x509 = new X509Certificate(certificate)
  // Written so that a date that cannot be read is refused too.
  if (!(Date.parse(x509.validFrom) <= now)) throw new Error('it is not valid yet')
  if (!(Date.parse(x509.validTo) >= now)) throw new Error('it has expired')
  if (!x509.verify(x509.publicKey)) throw new Error('its signature is not its own')

  const fields = new DerReader(contentOf(signedKey, TAG.sequence))
  const hostKey = fields.read(TAG.octetString).content
  const signature = fields.read(TAG.octetString).content
  fields.end()
  if (hostKey.length > MAX_HOST_KEY_BYTES) throw new Error('its host key is too long')
  if (signature.length > MAX_SIGNATURE_BYTES) throw new Error('the signature of its host key is too long')
  const publicKey = publicKeyFromProtobuf(hostKey)
  if (!(await publicKey.verify(signedBytes(subjectPublicKeyInfo), signature))) {
    throw new Error('its host key has not signed it')
  }
  return peerIdFromPublicKey(publicKey)
}

interface ParsedCertificate {
  subjectPublicKeyInfo: Uint8Array
  /** The value of the libp2p Public Key Extension. */
  signedKey: Uint8Array
}

/** Reads what the specification restricts, in the order of https://www.rfc-editor.org/rfc/rfc5280#section-4.1 */
function parseCertificate(certificate: Uint8Array): ParsedCertificate {
  const outer = new DerReader(contentOf(certificate, TAG.sequence))
  const toBeSigned = new DerReader(outer.read(TAG.sequence).content)
  requireSafeSignature(outer.read(TAG.sequence).content)
  outer.read(TAG.bitString)
  outer.end()

  toBeSigned.read(TAG.explicit(0)) // version
  toBeSigned.read(TAG.integer) // serial number
  toBeSigned.read(TAG.sequence) // signature algorithm
  toBeSigned.read(TAG.sequence) // issuer
  toBeSigned.read(TAG.sequence) // validity
  toBeSigned.read(TAG.sequence) // subject
  const subjectPublicKeyInfo = toBeSigned.read(TAG.sequence)
  requireNamedCurve(subjectPublicKeyInfo.content)
  // No unique ids, which the specification bans, may come between.
  const extensions = toBeSigned.read(TAG.explicit(3))
  toBeSigned.end()
  return { subjectPublicKeyInfo: subjectPublicKeyInfo.encoded, signedKey: findSignedKey(extensions.content) }
}

function requireSafeSignature(algorithm: Uint8Array): void {
  const oid = hexOf(new DerReader(algorithm).read(TAG.oid).content)
  if (!SIGNATURE_ALGORITHM_OIDS.has(oid)) throw new Error('its signature algorithm is not accepted')
}

/** Explicit curve parameters can be chosen so that signatures of others verify: https://whosecurve.com */
function requireNamedCurve(subjectPublicKeyInfo: Uint8Array): void {
  const algorithm = new DerReader(new DerReader(subjectPublicKeyInfo).read(TAG.sequence).content)
  if (hexOf(algorithm.read(TAG.oid).content) === EC_PUBLIC_KEY_OID) algorithm.read(TAG.oid)
}

function findSignedKey(extensions: Uint8Array): Uint8Array {
  const list = new DerReader(contentOf(extensions, TAG.sequence))
  let signedKey: Uint8Array | undefined
  while (!list.isAtEnd) {
    const extension = new DerReader(list.read(TAG.sequence).content)
    const oid = extension.read(TAG.oid).content
    const isCritical = extension.readOptional(TAG.boolean) !== undefined
    const value = extension.read(TAG.octetString).content
    extension.end()
    if (LIBP2P_EXTENSION_OID.equals(oid)) {
      if (signedKey !== undefined) throw new Error('it has two libp2p extensions')
      signedKey = value
    } else if (isCritical) {
      throw new Error('it has a critical extension of an unknown kind')
    }
  }
  if (signedKey === undefined) throw new Error('it has no libp2p extension')
  return signedKey
}

/** The content of the only element in `bytes`. */
function contentOf(bytes: Uint8Array, tag: number): Uint8Array {
  const reader = new DerReader(bytes)
  const { content } = reader.read(tag)
  reader.end()
  return content
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')
}
