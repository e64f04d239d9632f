/** Appends to packs and syncs them. One for each `pack-store.ts`; the next pack is begun when one has its size. */

import { type FileHandle, readdir, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { errnoOf, localIoError, type P2PError } from '../common/errors.ts'
import { KeyedLock } from '../common/keyed-lock.ts'
import { MiB } from '../common/units.ts'
import type { BlockKey } from '../dag/cid.ts'
import { makeFolderIn, openFile, readAt, syncFolder } from './open-file.ts'
import { decodeRecords, encodeRecords, PACK_HEADER, type PackedBlock, type PackPlace } from './pack-format.ts'
import type { IndexedEnd } from './pack-index.ts'

const PACK_BYTES = 64 * MiB
const EXTENSION = '.car'
const NAME = /^(\d{1,9})\.car$/
const APPEND = 'append'

interface OpenPack {
  number: number
  handle: FileHandle
  /** Where the last block ends that was written. */
  end: number
  /** Up to where it survives a power cut. */
  syncedEnd: number
  /** So does its name. */
  isNamed: boolean
}

export interface PackWriterOptions {
  /** A pack that has this size takes no more blocks. Default 64 MiB. */
  packBytes?: number | undefined
  /** Told of each block that was written. */
  onWritten: (key: BlockKey, place: PackPlace) => void
  /** Told of a pack that could not be synced: what was written to it since the last time has been cut off. */
  onLost: (pack: number, error: P2PError) => void
  /** Told of a pack whose end cannot be read: what an earlier run has stored there last is not taken up. */
  onUnreadable: (path: string, error: P2PError) => void
}

/** Of no pack: nothing is written after it. */
const NOWHERE = Number.POSITIVE_INFINITY

export class PackWriter {
  readonly #folder: string
  readonly #options: PackWriterOptions
  readonly #packBytes: number
  /** The pack that grows. */
  #current: OpenPack | undefined
  /** Without one: where the next block goes, if that pack is not too large. No higher number has been used. */
  #last: IndexedEnd = { pack: 0, offset: NOWHERE }
  readonly #unsynced = new Set<OpenPack>()
  #syncing: ReadonlySet<OpenPack> = new Set()
  readonly #lock = new KeyedLock()

  /** @param folder - of the packs; made with the first one */
  constructor(folder: string, options: PackWriterOptions) {
    this.#folder = folder
    this.#options = options
    this.#packBytes = options.packBytes ?? PACK_BYTES
  }

  pathOf(pack: number): string {
    return join(this.#folder, `${pack}${EXTENSION}`)
  }

  /** The packs that are there, from the oldest on. @throws P2PError `io` */
  async packs(): Promise<number[]> {
    try {
      const names = await readdir(this.#folder)
      return names.flatMap((name) => numberOf(name) ?? []).sort((one, other) => one - other)
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return []
      throw localIoError(error, 'list', this.#folder)
    }
  }

  /**
   * Takes up what an earlier run has left. What lies beyond the indexed end counts as written just now.
   *
   * @throws P2PError `io`
   */
  async open(indexed: IndexedEnd): Promise<void> {
    const newer = (await this.packs()).filter((pack) => pack >= indexed.pack)
    const last = Math.max(indexed.pack, newer.at(-1) ?? 0)
    this.#last = { pack: last, offset: NOWHERE }
    for (const pack of newer) {
      const end = await this.#takeUp(pack, pack === indexed.pack ? indexed.offset : 0)
      if (pack === last) this.#last.offset = end
    }
  }

  /** Writes all of them or none. @throws P2PError `io`, `disk-full` */
  async append(blocks: readonly PackedBlock[]): Promise<void> {
    await this.#lock.run(APPEND, () => this.#append(blocks))
  }

  /**
   * Makes everything that was written before the call survive a power cut, but for what is told as lost.
   *
   * @returns up to where packs are written by then; undefined if there was nothing to sync
   * @throws P2PError `io`; the next call tries again
   */
  async sync(): Promise<IndexedEnd | undefined> {
    const packs = [...this.#unsynced].sort((one, other) => one.number - other.number)
    const newest = packs.at(-1)
    if (newest === undefined) return undefined
    const { number, end } = newest
    this.#unsynced.clear()
    this.#syncing = new Set(packs)
    const lost = new Set<OpenPack>()
    for (const pack of packs) if (!(await this.#syncPack(pack))) lost.add(pack)
    try {
      if (packs.some(({ isNamed }) => !isNamed)) {
        await syncFolder(this.#folder)
        await syncFolder(dirname(this.#folder))
      }
      for (const pack of packs) pack.isNamed = true
    } catch (error) {
      for (const pack of packs) if (!lost.has(pack)) this.#unsynced.add(pack)
      throw localIoError(error, 'sync', this.#folder)
    } finally {
      this.#syncing = new Set()
      for (const pack of packs) await this.#closeIfDone(pack)
    }
    // Nothing of a pack that was lost is to be found by a later run, which cannot tell it from what is on the disk.
    return { pack: number, offset: lost.has(newest) ? newest.end : end }
  }

  /** When it returns, nothing is written to this pack any more. */
  async retire(pack: number): Promise<void> {
    await this.#lock.run(APPEND, async () => {
      if (this.#last.pack === pack) this.#last.offset = NOWHERE
      if (this.#current?.number === pack) await this.#retireCurrent()
    })
  }

  /** Lets go of the files; nothing may be under way. */
  async close(): Promise<void> {
    const packs = new Set(this.#unsynced)
    if (this.#current !== undefined) packs.add(this.#current)
    for (const { handle } of packs) await handle.close()
  }

  /** Where its next block would go; nowhere if its end is not whole, or cannot be read: then it stays as it is. */
  async #takeUp(number: number, indexedEnd: number): Promise<number> {
    const path = this.pathOf(number)
    let handle: FileHandle | undefined
    try {
      const { size } = await stat(path)
      // A new pack of which a power cut has left only the name has no header.
      if (size <= indexedEnd) return size === indexedEnd && size > 0 ? size : NOWHERE
      handle = await openFile(path, 'r+')
      const rest = await readAt(handle, { offset: indexedEnd, length: size - indexedEnd })
      const pack: OpenPack = { number, handle, end: indexedEnd, syncedEnd: indexedEnd, isNamed: false }
      this.#unsynced.add(pack)
      pack.end += this.#takeUpBlocks(pack, rest)
      return pack.end === size ? size : NOWHERE
    } catch (error) {
      await handle?.close().catch(() => {})
      // No block of a pin lies there, and all others can be had without it.
      this.#options.onUnreadable(path, localIoError(error, 'read the pack', path))
      return NOWHERE
    }
  }

  /** @returns how much of it is whole */
  #takeUpBlocks({ number, end }: OpenPack, rest: Uint8Array): number {
    const headerBytes = end === 0 ? PACK_HEADER.byteLength : 0
    if (!startsWith(rest, PACK_HEADER.subarray(0, headerBytes))) return 0
    const records = decodeRecords(rest.subarray(headerBytes))
    let next = records.next()
    for (; next.done !== true; next = records.next()) {
      const { key, offset, length } = next.value
      this.#options.onWritten(key, { pack: number, offset: end + headerBytes + offset, length })
    }
    return headerBytes + next.value
  }

  async #append(blocks: readonly PackedBlock[]): Promise<void> {
    const pack = await this.#packToWrite()
    const { pieces, byteCount, offsets } = encodeRecords(blocks)
    try {
      await writeAt(pack.handle, pieces, pack.end)
    } catch (error) {
      // What has no record must not stand between those that have one.
      await pack.handle.truncate(pack.end).catch(() => this.#retireCurrent())
      throw localIoError(error, 'write the pack', this.pathOf(pack.number))
    }
    // In one go with the blocks: whoever syncs now takes either all of it or nothing.
    const start = pack.end
    pack.end += byteCount
    this.#unsynced.add(pack)
    for (const [index, { key, bytes }] of blocks.entries()) {
      this.#options.onWritten(key, { pack: pack.number, offset: start + offsets[index]!, length: bytes.byteLength })
    }
  }

  async #packToWrite(): Promise<OpenPack> {
    if (this.#current !== undefined && this.#current.end < this.#packBytes) return this.#current
    await this.#retireCurrent()
    const { pack, offset } = this.#last
    this.#current = offset < this.#packBytes ? await this.#reopen(pack, offset) : await this.#create(pack + 1)
    this.#last = { pack: this.#current.number, offset: NOWHERE }
    return this.#current
  }

  async #reopen(number: number, end: number): Promise<OpenPack> {
    const takenUp = [...this.#unsynced].find((pack) => pack.number === number)
    if (takenUp !== undefined) return takenUp
    try {
      const handle = await openFile(this.pathOf(number), 'r+')
      return { number, handle, end, syncedEnd: end, isNamed: true }
    } catch (error) {
      throw localIoError(error, 'open the pack', this.pathOf(number))
    }
  }

  async #create(number: number): Promise<OpenPack> {
    const path = this.pathOf(number)
    try {
      await makeFolderIn(this.#folder)
      const handle = await openFile(path, 'wx+')
      try {
        await writeAt(handle, [PACK_HEADER], 0)
      } catch (error) {
        await handle.close()
        await rm(path, { force: true })
        throw error
      }
      return { number, handle, end: PACK_HEADER.byteLength, syncedEnd: 0, isNamed: false }
    } catch (error) {
      throw localIoError(error, 'make the pack', path)
    }
  }

  /** False if it was lost. */
  async #syncPack(pack: OpenPack): Promise<boolean> {
    const { end, handle, number } = pack
    try {
      await handle.datasync()
      pack.syncedEnd = end
      return true
    } catch (error) {
      // The system may have dropped the bytes, and would report success the next time.
      await this.#lock.run(APPEND, async () => {
        this.#unsynced.delete(pack)
        if (this.#current === pack) this.#current = undefined
        if (this.#last.pack === number) this.#last.offset = NOWHERE
        // Told first: whoever reads where a block was cut off takes it for one that is not here.
        this.#options.onLost(number, localIoError(error, 'sync the pack', this.pathOf(number)))
        await handle.truncate(pack.syncedEnd).catch(() => {})
      })
      return false
    }
  }

  async #retireCurrent(): Promise<void> {
    const pack = this.#current
    this.#current = undefined
    if (pack !== undefined) await this.#closeIfDone(pack)
  }

  async #closeIfDone(pack: OpenPack): Promise<void> {
    const isInUse = pack === this.#current || this.#unsynced.has(pack) || this.#syncing.has(pack)
    if (!isInUse) await pack.handle.close()
  }
}

function numberOf(name: string): number | undefined {
  const [, digits] = NAME.exec(name) ?? []
  return digits === undefined ? undefined : Number(digits)
}

function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return Buffer.compare(bytes.subarray(0, start.byteLength), start) === 0
}

async function writeAt(handle: FileHandle, pieces: readonly Uint8Array[], offset: number): Promise<void> {
  let at = offset
  let left = pieces.filter(({ byteLength }) => byteLength > 0)
  while (left.length > 0) {
    const { bytesWritten } = await handle.writev(left, at)
    at += bytesWritten
    left = after(left, bytesWritten)
  }
}

/** What comes after so many bytes. */
function after(pieces: readonly Uint8Array[], byteCount: number): Uint8Array[] {
  let skipped = byteCount
  return pieces.flatMap((piece) => {
    const rest = piece.subarray(Math.min(skipped, piece.byteLength))
    skipped -= piece.byteLength - rest.byteLength
    return rest.byteLength > 0 ? rest : []
  })
}
