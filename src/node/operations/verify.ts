/** `verify`: every block hashed again, every pin walked; with `repair`, what is wrong mended. */

import type { CID } from 'multiformats/cid'
import { hasCode } from '../../common/errors.ts'
import { SECOND_MS } from '../../common/units.ts'
import { assertAllowedCid } from '../../dag/block.ts'
import { parseRef } from '../../dag/ref.ts'
import { checkRepo, type Problem } from '../../pin/check.ts'
import { repair } from '../../pin/repair.ts'
import { removeFile } from '../../repo/durable-files.ts'
import type { VerifiedProblem, VerifyOptions, VerifyResult } from '../api/pins.ts'
import type { NodeParts } from '../parts.ts'
import { Fetching, type FetchingParts } from './fetching.ts'

/** Longest wait for the blocks of one root while none comes. */
const FETCH_TIMEOUT_MS = 30 * SECOND_MS

/** What says that there is no point in waiting any longer; all else is no fact about the block. */
const NOBODY_GIVES_IT = ['timeout', 'no-provider', 'network', 'verification'] as const

type VerifyParts = FetchingParts &
  Pick<NodeParts, 'blocks' | 'references' | 'pins'> & { repo: Pick<NodeParts['repo'], 'leftovers'> }

/** @throws P2PError as `Api.run` says of it */
export async function verify(parts: VerifyParts, options: VerifyOptions): Promise<VerifyResult> {
  const { repo, blocks, references, pins } = parts
  const { repair: repairs = false, onEvent, signal } = options
  const others = new Others(parts, options)
  const fetch = (cid: CID, root: CID) => others.fetch(cid, root)
  const leftovers = async () => [...(await blocks.leftovers()), ...(await repo.leftovers())]
  try {
    const { mended, ...counts } = await checkRepo(
      { blocks, references, pins, leftovers },
      {
        signal,
        onProblem: async (problem) => {
          const repaired = repairs && (await repair({ blocks, references, pins, removeFile, fetch }, problem))
          // What is said to be repaired survives a power cut.
          if (repaired) await blocks.sync({ signal })
          await onEvent?.(describe(problem, repaired))
          return repaired
        },
      },
    )
    return { ...counts, repaired: mended }
  } finally {
    await others.close()
  }
}

/** Whoever may have the blocks of the root that is being checked. */
class Others {
  readonly #parts: FetchingParts
  readonly #options: VerifyOptions
  #root: CID | undefined
  #fetching: Fetching | undefined
  /** Blocks that somebody is asked for. */
  #asked = 0

  constructor(parts: FetchingParts, options: VerifyOptions) {
    this.#parts = parts
    this.#options = options
  }

  /** Undefined if nobody gives it, after a while; then nobody is asked for more of this root. */
  async fetch(cid: CID, root: CID): Promise<Uint8Array | undefined> {
    assertAllowedCid(cid)
    const { signal, timeoutMs = FETCH_TIMEOUT_MS } = this.#options
    if (this.#root?.equals(root) !== true) {
      const before = this.#fetching
      // At once, since several blocks may be asked for at the same time.
      this.#root = root
      this.#fetching = new Fetching(
        this.#parts,
        parseRef(root.toString()),
        { ...this.#options, timeoutMs },
        // Between two blocks that are missing there may be any number to look at.
        { isBusy: () => this.#asked === 0 },
      )
      await before?.close()
    }
    const fetching = this.#fetching!
    this.#asked++
    try {
      const session = await fetching.open()
      return await session?.fetch(cid, { signal: fetching.signal })
    } catch (error) {
      signal?.throwIfAborted()
      if (hasCode(error, ...NOBODY_GIVES_IT)) return undefined
      throw error
    } finally {
      this.#asked--
    }
  }

  async close(): Promise<void> {
    await this.#fetching?.close()
    this.#fetching = undefined
  }
}

function describe(problem: Problem, repaired: boolean): VerifiedProblem {
  const told = { kind: problem.kind, cid: null, root: null, path: null, matters: true, repaired }
  switch (problem.kind) {
    case 'corrupt-block':
      return { ...told, cid: problem.cid.toString(), reason: problem.reason }
    case 'dangling-reference': {
      const { cid, tree } = problem
      const reason = problem.isFileUnchanged ? 'the file holds something else there' : 'the file has changed or gone'
      // Where a pin lacks the block, that is told as well.
      return { ...told, cid: cid.toString(), root: tree.root ?? null, path: tree.path, matters: false, reason }
    }
    case 'unreadable-reference': {
      const { cid, tree, reason } = problem
      return { ...told, cid: cid.toString(), root: tree.root ?? null, path: tree.path, reason }
    }
    case 'missing-block': {
      const { cid, root, reason, pin, isDamaged } = problem
      // What a download has left is as good as its file.
      return { ...told, cid: cid.toString(), root: root.toString(), matters: pin !== 'kept' || isDamaged, reason }
    }
    case 'unindexed-block': {
      const { cid, root } = problem
      const reason = 'the index does not know that the pin has it'
      return { ...told, cid: cid.toString(), root: root.toString(), reason }
    }
    case 'unreadable-pack':
      return { ...told, path: problem.path, reason: problem.reason }
    case 'leftover':
      return { ...told, path: problem.path, reason: 'an interrupted write left it' }
  }
}
