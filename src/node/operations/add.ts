/**
 * The use case `add`: sources into blocks, the blocks made durable, the roots pinned, and only then the CIDs told.
 * Called through `Api.add`.
 */

import { basename } from 'node:path'
import type { CID } from 'multiformats/cid'
import type { BlockStore } from '../../blockstore/blockstore.ts'
import type { References } from '../../blockstore/references.ts'
import { type AbortOptions, raceAbort } from '../../common/abort.ts'
import type { Clock } from '../../common/clock.ts'
import { hasCode, localIoError, P2PError } from '../../common/errors.ts'
import { readIgnoreRules } from '../../files/ignore-rules.ts'
import { ReferencedImport } from '../../files/referenced-import.ts'
import { scanTree, type TreeOptions, type TreeSummary } from '../../files/tree.ts'
import { importSettings } from '../../unixfs/import-settings.ts'
import { type BlockSink, linkTo, type NodeRef, NodeWriter } from '../../unixfs/node-writer.ts'
import { buildDirectory } from '../../unixfs/nodes.ts'
import type { AddedRoot, AddOptions, AddResult, AddSource } from '../api.ts'
import { progressReporter } from './add-progress.ts'
import { metadataRule } from './entry-metadata.ts'
import { type ImportCounts, type ImportOptions, importContent, importTree, type LeafKeeper } from './import-tree.ts'

export interface AddDependencies {
  store: Pick<BlockStore, 'put' | 'sync'>
  /** Left out where nothing can be noted: then content is copied always. */
  references?: References | undefined
  pins: { add(pin: { cid: CID; name?: string; bytes: number; kind: 'recursive' }): Promise<void> }
  clock: Clock
}

/**
 * Imports every source, in order. One that cannot be read as a whole gets no CID and the others go on; a store that
 * cannot be written ends the call.
 *
 * @throws P2PError before anything is imported: `usage` for settings that do not go together, `not-found` if a path does
 * not exist; later `io`, `disk-full` of the store; the signal's reason when aborted
 */
export async function addSources(
  parts: AddDependencies,
  sources: AddSource[],
  options: AddOptions = {},
): Promise<AddResult> {
  if (options.wrap === true) assertNamesDiffer(sources)
  const run = await AddRun.prepare(parts, sources, options)
  await (options.wrap === true ? run.addWrapped() : run.addEach())
  return run.result()
}

/** Tells the CIDs that {@link addSources} would give, and keeps nothing. */
export async function hashSources(
  { clock }: Pick<AddDependencies, 'clock'>,
  sources: AddSource[],
  options: AddOptions = {},
): Promise<AddResult> {
  const nowhere = { put: async () => {}, sync: async () => {} }
  const parts = { store: nowhere, pins: { add: async () => {} }, clock }
  return await addSources(parts, sources, { ...options, pin: false })
}

/** A source whose blocks are stored. */
interface Imported {
  path: string
  /** Undefined for an empty folder that is left out. */
  root: NodeRef | undefined
  /** Of content. */
  bytes: number
  inPlace: ReferencedImport | undefined
}

class AddRun {
  readonly #parts: AddDependencies
  readonly #options: AddOptions
  readonly #sources: { source: AddSource; summary: TreeSummary | undefined }[]
  readonly #importing: ImportOptions
  readonly #given: ReturnType<typeof metadataRule>['given']
  readonly #store: WatchedStore
  readonly #roots: AddedRoot[] = []
  readonly #failures: AddResult['failures'] = []
  readonly #report: ReturnType<typeof progressReporter>

  private constructor(
    parts: AddDependencies,
    sources: { source: AddSource; summary: TreeSummary | undefined }[],
    options: AddOptions,
    tree: TreeOptions,
  ) {
    this.#parts = parts
    this.#options = options
    this.#sources = sources
    this.#store = new WatchedStore(parts.store)
    const counts: ImportCounts = { bytes: 0, files: 0, skippedHidden: 0 }
    const summaries = sources.map(({ summary }) => summary)
    this.#report = progressReporter(counts, summaries, parts.clock, options.onProgress)
    const settings = importSettings(options)
    const metadata = metadataRule(options)
    this.#given = metadata.given
    this.#importing = {
      ...tree,
      settings,
      writer: new NodeWriter(this.#store, settings, tree),
      emptyFolders: options.emptyFolders ?? true,
      emptyTop: options.wrap !== true,
      metadataOf: metadata.of,
      counts,
      onCounts: this.#report.changed,
    }
  }

  /** Looks through the paths, so that mistakes show before hours of work. */
  static async prepare(parts: AddDependencies, sources: AddSource[], options: AddOptions): Promise<AddRun> {
    importSettings(options)
    const tree: TreeOptions = {
      signal: options.signal,
      hidden: options.hidden ?? false,
      isIgnored: await readIgnoreRules({ patterns: options.ignore, files: options.ignoreFiles }),
      followLinks: options.followLinks ?? false,
      withMetadata: metadataRule(options).readsEntries,
    }
    const scanned = []
    for (const source of sources) {
      scanned.push({ source, summary: 'path' in source ? await scanTree(source.path, tree) : undefined })
    }
    return new AddRun(parts, scanned, options, tree)
  }

  result(): AddResult {
    this.#report.finished()
    const { skippedHidden } = this.#importing.counts
    return { roots: this.#roots, failures: this.#failures, skippedHidden, reachable: false }
  }

  async addEach(): Promise<void> {
    for (const one of this.#sources) {
      const imported = await this.#import(one)
      if (imported?.root === undefined) continue
      const { path, root, bytes } = imported
      const isDurable = await this.#orFailure(path, () => this.#makeDurable([imported]))
      if (isDurable !== undefined) await this.#keep({ path, cid: root.cid, bytes }, basename(path))
    }
  }

  /** All sources in one folder; without any of them it would not be what was asked for. */
  async addWrapped(): Promise<void> {
    const { writer, settings } = this.#importing
    const all: Imported[] = []
    for (const one of this.#sources) {
      const imported = await this.#import(one)
      if (imported !== undefined) all.push(imported)
    }
    if (this.#failures.length > 0) {
      for (const { inPlace } of all) await inPlace?.forget()
      return
    }
    const links = all.flatMap(({ path, root }) => (root === undefined ? [] : linkTo(basename(path), root)))
    const root = await buildDirectory(links, writer, settings, this.#given)
    await this.#makeDurable(all)
    const bytes = all.reduce((sum, imported) => sum + imported.bytes, 0)
    await this.#keep({ path: '', cid: root.cid, bytes }, basename(all[0]!.path))
  }

  /** @returns undefined for a source that failed, which is noted then */
  async #import({ source, summary }: { source: AddSource; summary: TreeSummary | undefined }) {
    const path = 'path' in source ? source.path : source.name
    return await this.#orFailure(path, async (): Promise<Imported> => {
      const problems = summary?.problems ?? []
      if (problems.length > 0) throw new P2PError('io', describeProblems(problems))
      const { counts } = this.#importing
      const bytesBefore = counts.bytes
      if ('content' in source) {
        const content = readStream(source, this.#options)
        const root = await importContent(content, this.#copied, this.#given, this.#importing)
        return { path, root, bytes: counts.bytes - bytesBefore, inPlace: undefined }
      }
      const { references } = this.#parts
      const isCopied = references === undefined || (this.#options.copy ?? true)
      const inPlace = isCopied ? undefined : await ReferencedImport.open(references, path)
      try {
        const root = await importTree(path, inPlace ?? this.#copying, this.#importing)
        return { path, root, bytes: counts.bytes - bytesBefore, inPlace }
      } catch (error) {
        await inPlace?.forget()
        throw error
      }
    })
  }

  async #makeDurable(all: Imported[]): Promise<true> {
    try {
      await this.#parts.store.sync(this.#importing)
      for (const { inPlace, root } of all) await (root === undefined ? inPlace?.forget() : inPlace?.finish(root.cid))
      return true
    } catch (error) {
      for (const { inPlace } of all) await inPlace?.forget()
      throw error
    }
  }

  async #keep({ path, cid, bytes }: { path: string; cid: CID; bytes: number }, name: string): Promise<void> {
    const { pin = true, onRoot } = this.#options
    if (pin) await this.#parts.pins.add({ cid, name, bytes, kind: 'recursive' })
    const added: AddedRoot = { path, cid: cid.toString(), bytes }
    this.#roots.push(added)
    onRoot?.(added)
  }

  async #orFailure<T>(path: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work()
    } catch (error) {
      if (this.#store.hasFailed || !hasCode(error, 'io', 'limit', 'not-found')) throw error
      this.#failures.push({ path, message: error.message })
      return undefined
    }
  }

  readonly #copied = {
    putLeaf: async ({ cid, block }: { cid: CID; block: Uint8Array }) =>
      await this.#store.put(cid, block, this.#importing),
    close: async () => {},
  }
  readonly #copying: LeafKeeper = { openFile: async () => this.#copied }
}

/** @throws P2PError `usage` if the sources cannot stand side by side in one folder */
function assertNamesDiffer(sources: AddSource[]): void {
  const names = new Set<string>()
  for (const source of sources) {
    const name = 'path' in source ? basename(source.path) : ''
    if (name === '') {
      throw new P2PError('usage', '--wrap needs a name for each entry of the folder', {
        hint: 'Neither stdin nor the root of the file system has one: save it under a name first, or leave out --wrap.',
      })
    }
    if (names.has(name)) {
      throw new P2PError('usage', `--wrap would put two entries named "${name}" into one folder`, {
        hint: 'Add them one after the other, or rename one of them.',
      })
    }
    names.add(name)
  }
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

/** Tells an error of the store, which ends everything, from one of a source. */
class WatchedStore implements BlockSink {
  readonly #store: BlockSink
  hasFailed = false

  constructor(store: BlockSink) {
    this.#store = store
  }

  async put(cid: CID, bytes: Uint8Array, options?: AbortOptions): Promise<void> {
    try {
      await this.#store.put(cid, bytes, options)
    } catch (error) {
      this.hasFailed = true
      throw error
    }
  }
}
