/**
 * Whose turn it is to fetch a block, among peers that download the same: each works it out alone and all come to the
 * same order, so that they fetch different blocks first (rendezvous hashing). Pure.
 */

import type { BlockKey } from '../../dag/cid.ts'

/** A number that stands for a peer or a block. */
export function seedOf(text: string | BlockKey): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash
}

/** How many of the others come before `own` for this block. */
export function turnOf(own: number, others: Iterable<number>, block: number): number {
  const ownWeight = weightOf(own, block)
  let turn = 0
  for (const other of others) if (weightOf(other, block) > ownWeight) turn++
  return turn
}

/** MurmurHash3's last step over both. */
function weightOf(peer: number, block: number): number {
  let hash = peer ^ block
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
