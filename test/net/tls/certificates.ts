/** Certificates that a hostile peer could make: sound where a test does not ask for something else. */

import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { generateKeyPair, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { LIBP2P_EXTENSION_OID, signedBytes } from '../../../src/net/tls/certificate.ts'
import { encodeBitString, encodeDer, TAG } from '../../../src/net/tls/der.ts'

export const OIDS = {
  ecdsaWithSha1: '2a8648ce3d0401',
  ecdsaWithSha256: '2a8648ce3d040302',
  basicConstraints: '551d13',
} as const

const TRUE = encodeDer(TAG.boolean, Uint8Array.of(0xff))

export interface CertificateParts {
  hostKey: PrivateKey
  /** The key that the certificate is for. */
  keys: { publicKey: KeyObject; privateKey: KeyObject }
  /** Signs the certificate. */
  signer: KeyObject
  digest: string
  signatureAlgorithm: string
  notBefore: string
  notAfter: string
  /** In DER; undefined for none at all. */
  extensions: Uint8Array[] | undefined
  subjectPublicKeyInfo: Uint8Array
  /** What comes between the key and the extensions. */
  uniqueIds: Uint8Array[]
}

export function ecKeys(paramEncoding: 'named' | 'explicit' = 'named'): CertificateParts['keys'] {
  return generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding })
}

export function extension(oid: string, value: Uint8Array, { critical }: { critical: boolean }): Uint8Array {
  return encodeDer(
    TAG.sequence,
    encodeDer(TAG.oid, Buffer.from(oid, 'hex')),
    ...(critical ? [TRUE] : []),
    encodeDer(TAG.octetString, value),
  )
}

export function libp2pExtension(signedKey: Uint8Array): Uint8Array {
  return extension(LIBP2P_EXTENSION_OID.toString('hex'), signedKey, { critical: true })
}

/** The value of the libp2p extension. */
export async function signedKeyOf(hostKey: PrivateKey, subjectPublicKeyInfo: Uint8Array): Promise<Uint8Array> {
  const signature = await hostKey.sign(signedBytes(subjectPublicKeyInfo))
  return encodeDer(
    TAG.sequence,
    encodeDer(TAG.octetString, publicKeyToProtobuf(hostKey.publicKey)),
    encodeDer(TAG.octetString, signature),
  )
}

export function spkiOf({ publicKey }: CertificateParts['keys']): Uint8Array {
  return publicKey.export({ type: 'spki', format: 'der' })
}

/** A certificate in DER; what is left out is as it should be. */
export async function buildCertificate(parts: Partial<CertificateParts> = {}): Promise<Uint8Array> {
  const hostKey = parts.hostKey ?? (await generateKeyPair('Ed25519'))
  const keys = parts.keys ?? ecKeys()
  const subjectPublicKeyInfo = parts.subjectPublicKeyInfo ?? spkiOf(keys)
  const extensions =
    'extensions' in parts ? parts.extensions : [libp2pExtension(await signedKeyOf(hostKey, subjectPublicKeyInfo))]
  const algorithm = encodeDer(
    TAG.sequence,
    encodeDer(TAG.oid, Buffer.from(parts.signatureAlgorithm ?? OIDS.ecdsaWithSha256, 'hex')),
  )
  const name = encodeDer(TAG.sequence)
  const toBeSigned = encodeDer(
    TAG.sequence,
    encodeDer(TAG.explicit(0), encodeDer(TAG.integer, Uint8Array.of(2))),
    encodeDer(TAG.integer, Uint8Array.of(1)),
    algorithm,
    name,
    encodeDer(
      TAG.sequence,
      encodeDer(TAG.generalizedTime, Buffer.from(parts.notBefore ?? '19750101000000Z')),
      encodeDer(TAG.generalizedTime, Buffer.from(parts.notAfter ?? '40960101000000Z')),
    ),
    name,
    subjectPublicKeyInfo,
    ...(parts.uniqueIds ?? []),
    ...(extensions === undefined ? [] : [encodeDer(TAG.explicit(3), encodeDer(TAG.sequence, ...extensions))]),
  )
  const signature = sign(parts.digest ?? 'sha256', toBeSigned, parts.signer ?? keys.privateKey)
  return encodeDer(TAG.sequence, toBeSigned, algorithm, encodeBitString(signature))
}
