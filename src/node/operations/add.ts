/**
 * The use case `add`: sources into blocks, the blocks made durable, the roots pinned, and only then the CIDs told.
 * Called through `Api.add`.
 */

import { basename } from 'node:path'
import type { CID } from 'multiformats/cid'
import type { BlockStore } from '../../blockstore/blockstore.ts'
import type { References } from '../../blockstore/references.ts'
import { BufferPool } from '../../common/buffer-pool.ts'
import type { Clock } from '../../common/clock.ts'
import { GarbageRounds } from '../../common/collect-garbage.ts'
import { hasCode, P2PError } from '../../common/errors.ts'
import { counted, MiB } from '../../common/units.ts'
import { LeafHasher } from '../../dag/leaf-hasher.ts'
import { readIgnoreRules } from '../../files/ignore-rules.ts'
import { Storing } from '../../files/storing.ts'
import { scanTree, type TreeOptions, type TreeSummary } from '../../files/tree.ts'
import { TreeReader } from '../../files/tree-reader.ts'
import type { Hold } from '../../pin/hold.ts'
import type { ImportMemory } from '../../pin/import-memory.ts'
import type { Pins } from '../../pin/pins.ts'
import { type ImportSettings, importSettings } from '../../unixfs/import-settings.ts'
import { linkTo } from '../../unixfs/node-writer.ts'
import { buildDirectory } from '../../unixfs/nodes.ts'
import type { AddedRoot, AddOptions, AddResult, AddSource } from '../api.ts'
import { type ProgressReporter, progressReporter } from './add-progress.ts'
import { type MetadataRule, metadataRule } from './entry-metadata.ts'
import { type Imported, SourceImporter } from './import-source.ts'
import type { ImportCounts } from './import-tree.ts'

/** As many as one file has in use at a time. */
const IDLE_BUFFER_BYTES = 16 * MiB
/** Small files leave so much garbage behind that memory would grow with their number. */
const BLOCKS_PER_COLLECTION = 4096
/** A tree may have any number of them. */
const MAX_PROBLEMS_TOLD = 1000

export interface AddDependencies {
  store: Pick<BlockStore, 'put' | 'sync'>
  /** Left out where content is copied always. */
  references?: References | undefined
  /** Left out where nothing is kept. */
  pins?: Pick<Pins, 'add' | 'holding'> | undefined
  /** Knows files that have not changed; left out to read all. */
  memory?: Pick<ImportMemory, 'open' | 'pinned' | 'ended'> | undefined
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
  const reader = new TreeReader(options)
  try {
    const run = await AddRun.prepare(parts, sources, { ...options, reader })
    try {
      await (options.wrap === true ? run.addWrapped() : run.addEach())
    } finally {
      await run.close()
    }
    return run.result()
  } finally {
    await reader.close()
  }
}

/** Tells the CIDs that {@link addSources} would give, and keeps nothing. */
export async function hashSources(
  { clock }: Pick<AddDependencies, 'clock'>,
  sources: AddSource[],
  options: AddOptions = {},
): Promise<AddResult> {
  const nowhere = { put: async () => {}, sync: async () => {} }
  return await addSources({ store: nowhere, clock }, sources, options)
}

interface ScannedSource {
  source: AddSource
  /** Undefined for a stream. */
  summary: TreeSummary | undefined
}

interface Recipe {
  settings: ImportSettings
  metadata: MetadataRule
  tree: TreeOptions & { reader: TreeReader }
}

class AddRun {
  readonly #parts: AddDependencies
  readonly #options: AddOptions
  readonly #sources: ScannedSource[]
  readonly #recipe: Recipe
  readonly #storing = new Storing()
  readonly #hasher = new LeafHasher()
  readonly #buffers = new BufferPool(IDLE_BUFFER_BYTES, { shared: true })
  readonly #garbage = new GarbageRounds(BLOCKS_PER_COLLECTION)
  readonly #counts: ImportCounts = { bytes: 0, files: 0, skippedHidden: 0 }
  readonly #report: ProgressReporter
  readonly #roots: AddedRoot[] = []
  readonly #failures: AddResult['failures'] = []

  private constructor(parts: AddDependencies, sources: ScannedSource[], options: AddOptions, recipe: Recipe) {
    this.#parts = parts
    this.#sources = sources
    this.#options = options
    this.#recipe = recipe
    const summaries = sources.map(({ summary }) => summary)
    this.#report = progressReporter(this.#counts, summaries, parts.clock, options.onProgress)
  }

  /** Looks through the paths, so that mistakes show before hours of work. */
  static async prepare(
    parts: AddDependencies,
    sources: AddSource[],
    { reader, ...options }: AddOptions & { reader: TreeReader },
  ): Promise<AddRun> {
    const settings = importSettings(options)
    const metadata = metadataRule(options)
    const tree: Recipe['tree'] = {
      reader,
      signal: options.signal,
      hidden: options.hidden ?? false,
      isIgnored: await readIgnoreRules({ patterns: options.ignore, files: options.ignoreFiles }),
      followLinks: options.followLinks ?? false,
      withMetadata: metadata.readsEntries,
      withStamps: parts.memory !== undefined,
    }
    const scanned: ScannedSource[] = []
    for (const source of sources) {
      scanned.push({ source, summary: 'path' in source ? await scanTree(source.path, tree) : undefined })
    }
    return new AddRun(parts, scanned, options, { settings, metadata, tree })
  }

  result(): AddResult {
    this.#report.finished()
    const { skippedHidden } = this.#counts
    return { roots: this.#roots, failures: this.#failures, skippedHidden, servedAt: [] }
  }

  async close(): Promise<void> {
    await this.#hasher.close()
  }

  async addEach(): Promise<void> {
    for (const scanned of this.#sources) {
      await this.#holding(async (importer, hold) => {
        const imported = await this.#orFailure(scanned, async () => {
          const done = await importer.import(scanned.source, scanned.summary)
          await this.#makeDurable([done])
          return done
        })
        if (imported?.root === undefined) return
        const { path, root, bytes } = imported
        await this.#keep({ path, cid: root.cid, bytes }, basename(path), hold)
      })
    }
  }

  /** All sources in one folder; without any of them it would not be what was asked for. */
  async addWrapped(): Promise<void> {
    await this.#holding(async (importer, hold) => {
      const all: Imported[] = []
      for (const scanned of this.#sources) {
        const imported = await this.#orFailure(scanned, () => importer.import(scanned.source, scanned.summary))
        if (imported !== undefined) all.push(imported)
      }
      if (this.#failures.length > 0) {
        for (const { inPlace } of all) await inPlace?.forget()
        return
      }
      const links = all.flatMap(({ path, root }) => (root === undefined ? [] : linkTo(basename(path), root)))
      const { settings, metadata } = this.#recipe
      const { cid } = await buildDirectory(links, importer.writer, settings, metadata.given)
      await this.#makeDurable(all)
      const bytes = all.reduce((sum, imported) => sum + imported.bytes, 0)
      await this.#keep({ path: '', cid, bytes }, basename(all[0]!.path), hold)
    })
  }

  async #holding(work: (importer: SourceImporter, hold: Hold | undefined) => Promise<void>): Promise<void> {
    const { pins, references, memory } = this.#parts
    const { settings, metadata, tree } = this.#recipe
    const { copy = true, emptyFolders = true, wrap = false, rehash = false } = this.#options
    const workWith = async (hold?: Hold) => {
      const notes =
        hold && memory?.open({ recipe: recipeText(settings, this.#options), hold, rehash, storing: this.#storing })
      const importer = new SourceImporter({
        store: this.#parts.store,
        storing: this.#storing,
        garbage: this.#garbage,
        hold,
        references: copy ? undefined : references,
        importing: {
          ...tree,
          settings,
          buffers: this.#buffers,
          hasher: this.#hasher,
          emptyFolders,
          emptyTop: !wrap,
          metadataOf: metadata.of,
          counts: this.#counts,
          onCounts: this.#report.changed,
          // Where content stays in place, every leaf has to be noted anew.
          memory: copy ? notes : undefined,
        },
        metadata: metadata.given,
        notes,
      })
      try {
        await work(importer, hold)
      } finally {
        // What cannot be cleared away goes with the next gc.
        if (hold !== undefined) await memory?.ended(hold).catch(() => {})
      }
    }
    await (pins === undefined ? workWith() : pins.holding(workWith))
  }

  async #makeDurable(all: Imported[]): Promise<void> {
    try {
      await this.#storing.run(() => this.#parts.store.sync(this.#recipe.tree))
      for (const { inPlace, root } of all) await (root === undefined ? inPlace?.forget() : inPlace?.finish(root.cid))
    } catch (error) {
      for (const { inPlace } of all) await inPlace?.forget()
      throw error
    }
  }

  async #keep(
    root: { path: string; cid: CID; bytes: number },
    suggestedName: string,
    hold: Hold | undefined,
  ): Promise<void> {
    const { path, cid, bytes } = root
    const { pin = true, name, onRoot } = this.#options
    if (pin && hold !== undefined) {
      await this.#parts.pins?.add({ cid, name, suggestedName, bytes, kind: 'recursive' }, hold)
      await this.#parts.memory?.pinned(cid, hold)
    }
    const added: AddedRoot = { path, cid: cid.toString(), bytes }
    this.#roots.push(added)
    onRoot?.(added)
  }

  /** @returns undefined for a source that failed, which is noted then */
  async #orFailure<T>(scanned: ScannedSource, work: () => Promise<T>): Promise<T | undefined> {
    const found = scanned.summary?.problems ?? []
    if (found.length > 0) {
      this.#noteFailure(scanned, found)
      return undefined
    }
    try {
      return await work()
    } catch (error) {
      if (this.#storing.hasFailed || !hasCode(error, 'io', 'limit', 'not-found')) throw error
      this.#noteFailure(scanned, [error])
      return undefined
    }
  }

  #noteFailure({ source }: ScannedSource, problems: P2PError[]): void {
    this.#failures.push({
      path: 'path' in source ? source.path : source.name,
      code: problems[0]!.code,
      message: describeProblems(problems),
      problems: problems.slice(0, MAX_PROBLEMS_TOLD).map(({ message }) => message),
    })
  }
}

/** Whatever decides, besides the files themselves, what an import makes of them. */
function recipeText(settings: ImportSettings, options: AddOptions): string {
  const { mode, mtime, preserveMode, preserveMtime, followLinks, emptyFolders, wrap, copy } = options
  return JSON.stringify([settings, mode, mtime, preserveMode, preserveMtime, followLinks, emptyFolders, wrap, copy])
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
  return others === 0 ? problems[0]!.message : `${problems[0]!.message} (and ${counted(others, 'more problem')})`
}
