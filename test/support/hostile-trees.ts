/** Nodes of trees as nobody would import them: folders with whatever names, links and shards a test thinks up. */

import { encode, prepare } from '@ipld/dag-pb'
import type { Block } from '../../src/dag/block.ts'
import { dagPbBlock } from './blocks.ts'

/** `Type` (1) of a UnixFS node, and `Data` (2). @see https://specs.ipfs.tech/unixfs/#data-field */
const TYPE = 0x08
const DATA = 0x12
const HASH_TYPE = 0x28
const FANOUT = 0x30
const DIRECTORY = 1
const SYMLINK = 4
const HAMT_SHARD = 5

export type Entry = [name: string, block: Block]

/** A folder with these entries; those of one name stay in their order. */
export function folderBlock(entries: Entry[]): Block {
  return nodeBlock(Buffer.from([TYPE, DIRECTORY]), entries)
}

/** A symlink to a target of at most 127 bytes. */
export function symlinkBlock(target: string): Block {
  return nodeBlock(Buffer.from([TYPE, SYMLINK, DATA, Buffer.byteLength(target), ...Buffer.from(target)]), [])
}

/** A shard of 8 buckets, whatever belongs there: an entry for each, or a shard below where the name is empty. */
export function shardBlock(buckets: Map<number, Entry>): Block {
  const bitfield = [...buckets.keys()].reduce((bits, bucket) => bits | (1 << bucket), 0)
  const data = Buffer.from([TYPE, HAMT_SHARD, DATA, 1, bitfield, HASH_TYPE, 0x22, FANOUT, 8])
  return nodeBlock(
    data,
    [...buckets].map(([bucket, [name, block]]) => [`${bucket}${name}`, block]),
  )
}

function nodeBlock(unixfs: Uint8Array, entries: Entry[]): Block {
  const links = entries.map(([name, { cid, bytes }]) => ({ Name: name, Hash: cid, Tsize: bytes.byteLength }))
  return dagPbBlock(encode(prepare({ Data: unixfs, Links: links })))
}
