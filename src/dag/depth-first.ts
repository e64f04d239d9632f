/**
 * Every block of a DAG, leaves too, in an order that depends on the DAG alone: the root, then what its first link leads
 * to, then its second. What comes next is read ahead, so that a store or a network is kept busy. Used by what writes CAR
 * files and by what counts blocks.
 */

import type { CID } from 'multiformats/cid'
import type { AbortOptions } from '../common/abort.ts'
import { MiB } from '../common/units.ts'
import { type BlockKey, blockKey } from './cid.ts'
import { refuseTooWide } from './walk.ts'

/** Blocks that are read ahead at a time. */
const BLOCKS_AHEAD = 32
/** What has been read ahead and not been taken yet: beyond this no more is read than the next block. */
const MAX_BYTES_AHEAD = 48 * MiB

export interface ReadBlock {
  cid: CID
  /** Of the block, in bytes. */
  size: number
  /** The block; undefined where whoever reads it wants to know its size alone. */
  bytes?: Uint8Array | undefined
  links: readonly CID[]
}

/**
 * Each block once, by multihash and codec; also one that is inside its CID, as Kubo has it. Memory holds about 100 bytes
 * a block, the links on the way down, and what is read ahead.
 *
 * @param read - gives a block; what it throws ends the walk
 * @throws P2PError `limit` for a DAG with over 500,000 links side by side
 */
export async function* walkDepthFirst(
  root: CID,
  read: (cid: CID) => Promise<ReadBlock>,
  { signal }: AbortOptions = {},
): AsyncGenerator<ReadBlock> {
  const seen = new Set<string>()
  const ahead = new ReadAhead(read)
  const stack = [root]
  for (let cid = stack.pop(); cid !== undefined; cid = stack.pop()) {
    signal?.throwIfAborted()
    if (seen.has(placeOf(cid))) continue
    seen.add(placeOf(cid))
    const block = await ahead.take(cid)
    refuseTooWide(root, stack.length + block.links.length)
    for (let index = block.links.length - 1; index >= 0; index--) stack.push(block.links[index]!)
    ahead.fill(stack, (next) => seen.has(placeOf(next)))
    // It may have been read ahead by another CID of the same block.
    yield { ...block, cid }
  }
}

class ReadAhead {
  readonly #read: (cid: CID) => Promise<ReadBlock>
  readonly #blocks = new Map<BlockKey, Promise<ReadBlock>>()
  #unfinished = 0
  #bytes = 0

  constructor(read: (cid: CID) => Promise<ReadBlock>) {
    this.#read = read
  }

  async take(cid: CID): Promise<ReadBlock> {
    const key = blockKey(cid)
    const started = this.#blocks.get(key)
    if (started === undefined) return await this.#read(cid)
    const block = await started
    this.#blocks.delete(key)
    this.#bytes -= heldBytes(block)
    // Another codec of the same block may have been read ahead.
    return block.cid.code === cid.code ? block : await this.#read(cid)
  }

  /** Reads what is on top of the stack, unless enough is under way. */
  fill(stack: readonly CID[], isDone: (cid: CID) => boolean): void {
    const top = stack.at(-1)
    const isBehind = top !== undefined && !this.#blocks.has(blockKey(top))
    if (!isBehind && this.#unfinished > BLOCKS_AHEAD / 2) return
    for (let index = stack.length - 1; index >= Math.max(0, stack.length - BLOCKS_AHEAD); index--) {
      if (this.#unfinished >= BLOCKS_AHEAD || this.#bytes >= MAX_BYTES_AHEAD) return
      const cid = stack[index]!
      if (!isDone(cid) && !this.#blocks.has(blockKey(cid))) this.#start(cid)
    }
  }

  #start(cid: CID): void {
    this.#unfinished++
    const block = this.#read(cid)
    this.#blocks.set(blockKey(cid), block)
    block
      .then((read) => {
        this.#bytes += heldBytes(read)
      })
      // Whoever takes it sees the failure; until then it must not count as unhandled.
      .catch(() => {})
      .finally(() => {
        this.#unfinished--
      })
  }
}

/** Read as another codec, the same bytes have other links. */
function placeOf(cid: CID): string {
  return `${cid.code} ${blockKey(cid)}`
}

function heldBytes({ bytes }: ReadBlock): number {
  return bytes?.byteLength ?? 0
}
