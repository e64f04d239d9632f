/**
 * The use case `add`: sources into blocks, the blocks made durable, the roots pinned, and only then the CIDs told.
 * Called through `Api.add`.
 */

import { basename } from 'node:path'
import type { BlockStore } from '../../blockstore/blockstore.ts'
import type { References } from '../../blockstore/references.ts'
import { type AbortOptions, raceAbort } from '../../common/abort.ts'
import type { Clock } from '../../common/clock.ts'
import { hasCode, localIoError, type P2PError } from '../../common/errors.ts'
import type { OnProgress } from '../../common/progress.ts'
import { type LeafTaker, ReferencedImport } from '../../files/referenced-import.ts'
import { Storing } from '../../files/storing.ts'
import { scanTree, type TreeSummary } from '../../files/tree.ts'
import type { Hold } from '../../pin/hold.ts'
import type { Pins } from '../../pin/pins.ts'
import type { BlockSink, NodeRef } from '../../unixfs/save-node.ts'
import type { AddedRoot, AddOptions, AddResult, AddSource } from '../api.ts'
import { type ImportCounts, importContent, importTree } from './import-tree.ts'

const PROGRESS_INTERVAL_MS = 100

export interface AddDependencies {
  store: BlockStore
  references: References
  pins: Pick<Pins, 'add' | 'holding'>
  clock: Clock
}

/**
 * Imports every source, in order. One that cannot be read as a whole gets no CID and the others go on; a store that
 * cannot be written ends the call.
 *
 * @throws P2PError `not-found` before anything is imported if a path does not exist; `io`, `disk-full` of the store; the
 * signal's reason when aborted
 */
export async function addSources(
  { store, references, pins, clock }: AddDependencies,
  sources: AddSource[],
  options: AddOptions = {},
): Promise<AddResult> {
  const { signal, hidden = false, pin = true, copy = true, onRoot, onProgress } = options
  const summaries = await scanSources(sources, { hidden, signal })
  const counts: ImportCounts = { bytes: 0, files: 0, skippedHidden: 0 }
  const report = progressReporter(counts, totalBytes(summaries), clock, onProgress)
  const storing = new Storing()
  const result: AddResult = { roots: [], failures: [], skippedHidden: 0, reachable: false }

  const importing = { signal, hidden, counts, onCounts: report.changed }
  const importSource = async (source: AddSource, hold: Hold): Promise<NodeRef> => {
    const held = hold.over(store)
    const sink: BlockSink = { put: (cid, bytes) => storing.run(() => held.put(cid, bytes, { signal })) }
    const copied: LeafTaker = {
      putLeaf: (cid, bytes) => sink.put(cid, bytes),
      close: async () => {},
    }
    if ('content' in source) {
      const root = await importContent(readStream(source, { signal }), sink, copied, importing)
      await storing.run(() => store.sync({ signal }))
      return root
    }
    const inPlace = copy ? undefined : await ReferencedImport.open(references, source.path, storing)
    try {
      const leaves = inPlace === undefined ? { openFile: async () => copied } : heldLeaves(inPlace, hold, storing)
      const root = await importTree(source.path, sink, { ...importing, leaves })
      await storing.run(() => store.sync({ signal }))
      await inPlace?.finish(root.cid)
      return root
    } catch (error) {
      await inPlace?.forget()
      throw error
    }
  }

  for (const [index, source] of sources.entries()) {
    const path = 'path' in source ? source.path : source.name
    const problems = summaries[index]?.problems ?? []
    if (problems.length > 0) {
      result.failures.push({ path, message: describeProblems(problems) })
      continue
    }
    const bytesBefore = counts.bytes
    await pins.holding(async (hold) => {
      let root: NodeRef
      try {
        root = await importSource(source, hold)
      } catch (error) {
        if (storing.hasFailed || !hasCode(error, 'io', 'limit', 'not-found')) throw error
        result.failures.push({ path, message: error.message })
        return
      }
      const added: AddedRoot = { path, cid: root.cid.toString(), bytes: counts.bytes - bytesBefore }
      if (pin) await pins.add({ cid: root.cid, name: basename(path), bytes: added.bytes, kind: 'recursive' }, hold)
      result.roots.push(added)
      onRoot?.(added)
    })
  }
  report.finished()
  return { ...result, skippedHidden: counts.skippedHidden }
}

/** Leaves that stay where they are, held like those that are copied. */
function heldLeaves(
  inPlace: ReferencedImport,
  hold: Hold,
  storing: Storing,
): { openFile(path: string): Promise<LeafTaker> } {
  return {
    openFile: async (path) => {
      const taker = await inPlace.openFile(path)
      return {
        putLeaf: async (cid, content, offset) => {
          await storing.run(() => hold.add([cid]))
          await taker.putLeaf(cid, content, offset)
        },
        close: () => taker.close(),
      }
    },
  }
}

/** Looks through the paths, so that mistakes show before hours of work; undefined stands for a stream. */
async function scanSources(
  sources: AddSource[],
  options: { hidden: boolean; signal: AbortSignal | undefined },
): Promise<(TreeSummary | undefined)[]> {
  const summaries: (TreeSummary | undefined)[] = []
  for (const source of sources) summaries.push('path' in source ? await scanTree(source.path, options) : undefined)
  return summaries
}

function totalBytes(summaries: (TreeSummary | undefined)[]): number | null {
  let total = 0
  for (const summary of summaries) {
    if (summary === undefined) return null
    if (summary.problems.length === 0) total += summary.bytes
  }
  return total
}

function describeProblems(problems: P2PError[]): string {
  const others = problems.length - 1
  return others === 0 ? problems[0]!.message : `${problems[0]!.message} (and ${others} more like this)`
}

/** The stream's content; ends at once when aborted, also while it waits for more. */
async function* readStream(
  { name, content }: Extract<AddSource, { name: string }>,
  options: AbortOptions,
): AsyncGenerator<Uint8Array> {
  const pieces = content[Symbol.asyncIterator]()
  try {
    for (;;) {
      const next = await raceAbort(pieces.next(), options)
      if (next.done === true) return
      yield next.value
    }
  } catch (error) {
    options.signal?.throwIfAborted()
    throw localIoError(error, 'read', name)
  } finally {
    // A stream that waits for more does not answer before it comes, so nothing waits for this.
    pieces.return?.().catch(() => {})
  }
}

function progressReporter(
  counts: ImportCounts,
  total: number | null,
  clock: Clock,
  onProgress: OnProgress | undefined,
): { changed: () => void; finished: () => void } {
  let lastMs = Number.NEGATIVE_INFINITY
  const report = () => {
    lastMs = clock.monotonicMs()
    onProgress?.({ type: 'add-progress', bytes: counts.bytes, totalBytes: total, files: counts.files })
  }
  return {
    changed: () => {
      if (clock.monotonicMs() - lastMs >= PROGRESS_INTERVAL_MS) report()
    },
    finished: report,
  }
}
