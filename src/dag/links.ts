/**
 * The blocks that a block names, whatever it is part of: all that keeping, checking and removing need to know of a node.
 * @see https://ipld.io/specs/codecs/dag-pb/spec/
 * @see https://ipld.io/specs/codecs/dag-cbor/spec/
 */

import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { messageOf, P2PError } from '../common/errors.ts'
import { ProtobufReader, WIRE_BYTES } from '../common/protobuf.ts'
import { DAG_CBOR, DAG_PB, RAW } from './cid.ts'

/** Of these the links are known; blocks of all other codecs are opaque. */
export function hasKnownLinks({ code }: CID): boolean {
  return code === RAW || code === DAG_PB || code === DAG_CBOR
}

/** Whether a block ends its DAG, or has to be taken as if it did: its codec has no links, or none that are read. */
export function isLeaf({ code }: CID): boolean {
  return code !== DAG_PB && code !== DAG_CBOR
}

/** The most links of a node that is read; a flat folder of 2 MiB has about 40,000. */
export const MAX_LINKS = 65_536

const NODE_LINKS_FIELD = 2
const LINK_HASH_FIELD = 1

/**
 * What a block that matches its CID links to, in order, the same block as often as it is named. Nothing for a codec whose
 * links are not known.
 *
 * @throws P2PError `bad-data` for what is not of its codec, and above 65,536 links
 */
export function linksOf(cid: CID, bytes: Uint8Array): CID[] {
  if (cid.code === RAW || !hasKnownLinks(cid)) return []
  try {
    return cid.code === DAG_CBOR ? readCborLinks(bytes) : readLinks(bytes, readHash)
  } catch (cause) {
    throw new P2PError('bad-data', `Block ${cid} is not readable: ${messageOf(cause)}`, { cause })
  }
}

/** Every CID in the value, in the order in which it is written. */
function readCborLinks(bytes: Uint8Array): CID[] {
  const links: CID[] = []
  const waiting: unknown[] = [dagCbor.decode(bytes)]
  while (waiting.length > 0) {
    const value = waiting.pop()
    // The decoder makes CIDs of links alone; `CID.asCID` would also take a map whose author gave it the fields of one.
    if (value instanceof CID) {
      if (links.length === MAX_LINKS) throw new P2PError('bad-data', `more than ${MAX_LINKS} links`)
      links.push(value)
    } else if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) {
      for (const inner of Object.values(value).toReversed()) waiting.push(inner)
    }
  }
  return links
}

/**
 * What `readLink` makes of each encoded link of a dag-pb node, in order.
 *
 * @throws P2PError `bad-data` for more than {@link MAX_LINKS}, and for what is no protobuf
 */
export function readLinks<T>(node: Uint8Array, readLink: (link: Uint8Array) => T): T[] {
  const links: T[] = []
  const reader = new ProtobufReader(node)
  while (reader.nextField()) {
    if (reader.field === NODE_LINKS_FIELD && reader.wire === WIRE_BYTES) {
      if (links.length === MAX_LINKS) throw new P2PError('bad-data', `more than ${MAX_LINKS} links`)
      links.push(readLink(reader.bytes()))
    } else reader.skip()
  }
  return links
}

function readHash(bytes: Uint8Array): CID {
  const link = new ProtobufReader(bytes)
  while (link.nextField()) {
    if (link.field === LINK_HASH_FIELD && link.wire === WIRE_BYTES) return CID.decode(link.bytes())
    link.skip()
  }
  throw new P2PError('bad-data', 'a link without a CID')
}
