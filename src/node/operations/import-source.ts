/** Imports one source of `add`: a path, copied or left where it stands, or a stream. Called by `add.ts`. */

import type { References } from '../../blockstore/references.ts'
import { type AbortOptions, raceAbort } from '../../common/abort.ts'
import type { GarbageRounds } from '../../common/collect-garbage.ts'
import { localIoError } from '../../common/errors.ts'
import { type LeafTaker, ReferencedImport } from '../../files/referenced-import.ts'
import type { Storing } from '../../files/storing.ts'
import type { Stamp, TreeSummary } from '../../files/tree.ts'
import type { Hold } from '../../pin/hold.ts'
import type { ImportNotes } from '../../pin/import-memory.ts'
import { type BlockSink, type NodeRef, NodeWriter } from '../../unixfs/node-writer.ts'
import type { Metadata } from '../../unixfs/unixfs-data.ts'
import type { AddSource } from '../api.ts'
import { type ImportOptions, importContent, importTree, type LeafKeeper } from './import-tree.ts'

/** A source whose blocks are stored. */
export interface Imported {
  path: string
  /** Undefined for an empty folder that is left out. */
  root: NodeRef | undefined
  /** Of content. */
  bytes: number
  /** What is to be finished or forgotten once it is known what becomes of the import. */
  inPlace: ReferencedImport | undefined
}

export interface SourceImportInit {
  store: BlockSink
  /** Learns of every failure of the repo. */
  storing: Storing
  /** Holds every block before it is stored; undefined where nothing is. */
  hold: Hold | undefined
  /** Where content that is not copied is noted; undefined to copy all. */
  references: References | undefined
  importing: Omit<ImportOptions, 'writer'>
  /** Told of each block. */
  garbage: GarbageRounds
  /** Of streams, which have none of their own. */
  metadata: Metadata
  /** What is known of files that have not changed, and where it is noted; undefined for neither. */
  notes: ImportNotes | undefined
}

export class SourceImporter {
  readonly writer: NodeWriter
  readonly #store: BlockSink
  readonly #init: SourceImportInit
  readonly #importing: ImportOptions

  constructor(init: SourceImportInit) {
    const { store, storing, hold, importing } = init
    this.#init = init
    const held = hold?.over(store) ?? store
    this.#store = {
      put: async (cid, bytes, options) => {
        await storing.run(() => held.put(cid, bytes, options))
        init.garbage.step()
      },
    }
    this.writer = new NodeWriter(this.#store, importing.settings, importing)
    this.#importing = { ...importing, writer: this.writer }
  }

  /** @throws P2PError `io`, `disk-full`, `not-found`, `limit`; the signal's reason when aborted */
  async import(source: AddSource, summary?: TreeSummary): Promise<Imported> {
    const { counts } = this.#importing
    const bytesBefore = counts.bytes
    if ('content' in source) {
      const { metadata } = this.#init
      const root = await importContent(readStream(source, this.#importing), this.#copied, metadata, this.#importing)
      return { path: source.name, root, bytes: counts.bytes - bytesBefore, inPlace: undefined }
    }
    const { path } = source
    const { references, storing, notes } = this.#init
    const known = await this.#known(path, summary?.stamp)
    if (summary !== undefined && known !== undefined) {
      counts.bytes += summary.bytes
      counts.files += summary.files
      counts.skippedHidden += summary.skippedHidden
      return { path, root: known, bytes: summary.bytes, inPlace: undefined }
    }
    const inPlace = references === undefined ? undefined : await ReferencedImport.open(references, path, storing)
    try {
      const leaves = inPlace === undefined ? { openFile: async () => this.#copied } : this.#heldLeaves(inPlace)
      const { node: root, stamp } = await importTree(path, leaves, this.#importing)
      if (root !== undefined && stamp !== undefined) await notes?.noteTree(path, stamp, root)
      return { path, root, bytes: counts.bytes - bytesBefore, inPlace }
    } catch (error) {
      await inPlace?.forget()
      throw error
    }
  }

  /** What the path has become, where that is all that an import would do. */
  async #known(path: string, stamp: Stamp | undefined): Promise<NodeRef | undefined> {
    const { references, notes } = this.#init
    const known = stamp && (await notes?.tree(path, stamp))
    if (known === undefined || references === undefined) return known
    return (await ReferencedImport.stands(references, path, known.cid)) ? known : undefined
  }

  readonly #copied: LeafTaker = {
    putLeaf: async ({ cid, block }) => await this.#store.put(cid, block, this.#importing),
    close: async () => {},
  }

  /** Leaves that stay where they are, held like those that are copied. */
  #heldLeaves(inPlace: ReferencedImport): LeafKeeper {
    const { hold, storing, garbage } = this.#init
    return {
      openFile: async (path, whole) => {
        const taker = await inPlace.openFile(path, whole)
        return {
          putLeaf: async (leaf) => {
            await storing.run(async () => await hold?.add([leaf.cid]))
            await taker.putLeaf(leaf)
            garbage.step()
          },
          close: () => taker.close(),
        }
      },
    }
  }
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
