/**
 * The self-signed certificate that a libp2p node shows in TLS, and what its two sides have in common. Called by
 * `encrypter.ts`. Specification: https://github.com/libp2p/specs/blob/master/tls/tls.md#peer-authentication
 */

import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { publicKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { encodeBitString, encodeDer, TAG } from './der.ts'

/** 1.3.6.1.4.1.53594.1.1 */
export const LIBP2P_EXTENSION_OID = Buffer.from('2b0601040183a25a0101', 'hex')
/** 1.2.840.10045.4.3.2 */
const ECDSA_WITH_SHA256_OID = Buffer.from('2a8648ce3d040302', 'hex')

const SIGNATURE_PREFIX = Buffer.from('libp2p-tls-handshake:')
const VERSION_3 = 2
const SERIAL_NUMBER_BYTES = 8
/** The dates of the specification's own examples: no clock, however wrong, is outside of them. */
const NOT_BEFORE = '19750101000000Z'
const NOT_AFTER = '40960101000000Z'

/** As `tls.createSecureContext` takes it, both in PEM. */
export interface Certificate {
  cert: string
  key: string
}

/** A certificate for a fresh P-256 key that the host key vouches for. Good for any number of connections. */
export async function makeCertificate(hostKey: PrivateKey): Promise<Certificate> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const subjectPublicKeyInfo = publicKey.export({ type: 'spki', format: 'der' })
  const signature = await hostKey.sign(signedBytes(subjectPublicKeyInfo))
  const signedKey = encodeDer(
    TAG.sequence,
    encodeDer(TAG.octetString, publicKeyToProtobuf(hostKey.publicKey)),
    encodeDer(TAG.octetString, signature),
  )
  const extension = encodeDer(
    TAG.sequence,
    encodeDer(TAG.oid, LIBP2P_EXTENSION_OID),
    encodeDer(TAG.boolean, Uint8Array.of(0xff)),
    encodeDer(TAG.octetString, signedKey),
  )
  const signatureAlgorithm = encodeDer(TAG.sequence, encodeDer(TAG.oid, ECDSA_WITH_SHA256_OID))
  const name = encodeDer(TAG.sequence)
  const toBeSigned = encodeDer(
    TAG.sequence,
    encodeDer(TAG.explicit(0), encodeDer(TAG.integer, Uint8Array.of(VERSION_3))),
    encodeDer(TAG.integer, serialNumber()),
    signatureAlgorithm,
    name,
    encodeDer(
      TAG.sequence,
      encodeDer(TAG.generalizedTime, Buffer.from(NOT_BEFORE)),
      encodeDer(TAG.generalizedTime, Buffer.from(NOT_AFTER)),
    ),
    name,
    subjectPublicKeyInfo,
    encodeDer(TAG.explicit(3), encodeDer(TAG.sequence, extension)),
  )
  const certificate = encodeDer(
    TAG.sequence,
    toBeSigned,
    signatureAlgorithm,
    encodeBitString(sign('sha256', toBeSigned, privateKey)),
  )
  return {
    cert: toPem('CERTIFICATE', certificate),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

/** What a host key signs to vouch for the key of a certificate. */
export function signedBytes(subjectPublicKeyInfo: Uint8Array): Uint8Array {
  return Buffer.concat([SIGNATURE_PREFIX, subjectPublicKeyInfo])
}

/** A positive INTEGER without a leading zero byte. */
function serialNumber(): Uint8Array {
  const bytes = randomBytes(SERIAL_NUMBER_BYTES)
  bytes[0] = (bytes[0]! & 0x3f) | 0x40
  return bytes
}

function toPem(label: string, bytes: Uint8Array): string {
  const lines = Buffer.from(bytes)
    .toString('base64')
    .replace(/.{64}(?=.)/g, '$&\n')
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`
}
