/**
 * CAR files, version 1 and 2, from whatever source: every block is hashed before anyone sees it, and what is malformed is
 * refused with the place in the file. Called by `node/operations/car-import.ts`.
 * @see https://ipld.io/specs/transport/car/carv1/
 * @see https://ipld.io/specs/transport/car/carv2/
 */

import { createDecoder } from '@ipld/car/decoder'
import type { CID } from 'multiformats/cid'
import { asP2PError, hasCode, messageOf, P2PError } from '../common/errors.ts'
import { type Block, matchesCid, whyRefused } from '../dag/block.ts'
import { CarBytes } from './bytes.ts'

export interface Car {
  version: 1 | 2
  /** As the header lists them; they need not be in the file. */
  roots: CID[]
  /**
   * In the order of the file. Zeros after the last one are padding. Can be read once.
   *
   * @throws P2PError `bad-data` for what is malformed, `limit` for a block above 2 MiB, `verification` for one that does
   * not match its CID, each with the offset; whatever the source throws
   */
  blocks: AsyncGenerator<Block>
}

/** Reads the header. @throws as {@link Car.blocks} does */
export async function readCar(chunks: AsyncIterable<Uint8Array>): Promise<Car> {
  const source = new Source(chunks)
  const bytes = new CarBytes(source.chunks())
  try {
    const decoder = createDecoder(bytes)
    const { version, roots } = await decoder.header()
    for (const root of roots) checkCid(root)
    return { version, roots, blocks: readBlocks(decoder.blocks(), bytes, source) }
  } catch (error) {
    await bytes.close()
    throw source.failure(error) ?? malformed(0, error)
  }
}

async function* readBlocks(blocks: AsyncGenerator<Block>, bytes: CarBytes, source: Source): AsyncGenerator<Block> {
  try {
    for (;;) {
      const offset = bytes.pos
      let next: IteratorResult<Block>
      try {
        const [first] = await bytes.upTo(1)
        if (first === 0 && (await bytes.endsInZeros())) return
        next = await blocks.next()
        if (next.done === true) return
        checkCid(next.value.cid)
      } catch (error) {
        throw source.failure(error) ?? malformed(offset, error)
      }
      const { cid } = next.value
      if (!matchesCid(cid, next.value.bytes)) {
        throw new P2PError('verification', `The block at byte ${offset} of the CAR file is not ${cid}`, {
          hint: 'The file is damaged: get it once more. What came before that place was good.',
        })
      }
      yield next.value
    }
  } finally {
    await bytes.close()
  }
}

/** Tells errors of the source from those that what it gave leads to. */
class Source {
  readonly #chunks: AsyncIterable<Uint8Array>
  #error: unknown

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    try {
      yield* this.#chunks
    } catch (error) {
      this.#error = error
      throw error
    }
  }

  /** The error if it is the source's. */
  failure(error: unknown): unknown {
    return error !== undefined && error === this.#error ? error : undefined
  }
}

function checkCid(cid: CID): void {
  const reason = whyRefused(cid)
  if (reason !== undefined) throw new P2PError('bad-data', `CID ${cid.toString().slice(0, 80)}: ${reason}`)
}

function malformed(offset: number, error: unknown): P2PError {
  const code = hasCode(error, 'limit') ? 'limit' : 'bad-data'
  return new P2PError(code, `Not a valid CAR file, at byte ${offset}: ${messageOf(error)}`, {
    hint: 'What "p2p car export" or "ipfs dag export" wrote is one; check that the file is whole.',
    cause: asP2PError(error),
  })
}
