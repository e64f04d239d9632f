/**
 * CIDs as this program uses them: which ones it accepts, and the key under which stores, wantlists and pins know a
 * block. A CID says how to read a block; its multihash is the block's identity.
 * @see https://github.com/multiformats/cid
 */

import * as dagPb from '@ipld/dag-pb'
import * as base2 from 'multiformats/bases/base2'
import * as base16 from 'multiformats/bases/base16'
import * as base32 from 'multiformats/bases/base32'
import * as base36 from 'multiformats/bases/base36'
import * as base58 from 'multiformats/bases/base58'
import * as base64 from 'multiformats/bases/base64'
import * as base256emoji from 'multiformats/bases/base256emoji'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import * as Digest from 'multiformats/hashes/digest'
import type { MultihashDigest } from 'multiformats/hashes/interface'
import { P2PError } from '../common/errors.ts'

export const DAG_PB = dagPb.code
export const RAW = raw.code
export const DAG_CBOR = 0x71
export const IDENTITY_HASH = 0x00
export const SHA2_256 = 0x12

/** boxo's limit for a CID on the wire. */
export const MAX_CID_BYTES = 168
/** boxo's `verifcid`: shortest digest that counts as secure, longest that is accepted, longest identity digest. */
export const MIN_DIGEST_BYTES = 20
export const MAX_DIGEST_BYTES = 128
export const MAX_IDENTITY_BYTES = 128

/** The identity of a block as a map key: its multihash, one character a byte. */
export type BlockKey = string

export function blockKey(cid: CID): BlockKey {
  return keyOfMultihash(cid.multihash.bytes)
}

export function keyOfMultihash(multihash: Uint8Array): BlockKey {
  return Buffer.from(multihash.buffer, multihash.byteOffset, multihash.byteLength).toString('latin1')
}

/** The multihash bytes behind a key. */
export function multihashOfKey(key: BlockKey): Uint8Array {
  return Buffer.from(key, 'latin1')
}

/** True if the block is inside the CID itself. */
export function isIdentity(cid: CID): boolean {
  return cid.multihash.code === IDENTITY_HASH
}

/** The same block named as raw CIDv1: how stores that keep only the multihash name it. */
export function rawCid(multihash: MultihashDigest): CID {
  return CID.createV1(RAW, multihash)
}

/** The block behind a key, named as {@link rawCid} does. */
export function cidOfKey(key: BlockKey): CID {
  return rawCid(Digest.decode(multihashOfKey(key)))
}

/**
 * Bases in which a CID can be written; base8 and base10 are left out, as Kubo does.
 * @see https://github.com/multiformats/multibase/blob/master/multibase.csv
 */
const BASES = [base2, base16, base32, base36, base58, base64, base256emoji].flatMap((family) => Object.values(family))

/** The base that a CIDv1 is written in. */
export function baseOf(text: string): { name: string } | undefined {
  return BASES.find(({ prefix }) => text.startsWith(prefix))
}

/** Bases by their names, as `base32`. */
export function basesByName(): Map<string, (typeof BASES)[number]> {
  return new Map(BASES.map((base) => [base.name, base]))
}

/**
 * Parses the text of a CID in any of the bases that Kubo reads.
 *
 * @throws P2PError `bad-ref`
 */
export function parseCid(text: string): CID {
  try {
    return CID.parse(
      text,
      BASES.find(({ prefix }) => text.startsWith(prefix)),
    )
  } catch (cause) {
    throw new P2PError('bad-ref', `"${shorten(text)}" is not a CID`, {
      hint:
        damageIn(text) ?? 'A CID starts with "bafy", "bafk" or "Qm" and has no spaces; check that it was copied whole.',
      cause,
    })
  }
}

/** How the usual CIDs begin, and what cannot stand in them. */
const USUAL_FORMS = [
  { beginning: /^baf[ky]/, foreign: /[^a-z2-7]/u },
  { beginning: /^Qm/, foreign: /[^1-9A-HJ-NP-Za-km-z]/u },
]

/** What is wrong with text that begins as a CID does. */
function damageIn(text: string): string | undefined {
  const form = USUAL_FORMS.find(({ beginning }) => beginning.test(text))
  if (form === undefined) return undefined
  const wrong = form.foreign.exec(text)
  const where = wrong === null ? '' : `: "${wrong[0]}" at place ${wrong.index + 1} is in no CID of this kind`
  return `It begins as a CID does and is damaged${where}; copy it again, whole.`
}

function shorten(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 60)}…${text.slice(-12)}`
}
