/**
 * LevelDB as it can be relied upon after a write has failed, as on a full disk. Such a write may have left part of a
 * record in the log, and whatever is written behind that is lost when the log is next read; after some failures LevelDB
 * takes no more writes at all. Hence nothing is written after a failure until the database has been opened anew, which
 * reads the log up to where it is whole and makes a table of it. Used by `database.ts`.
 * @see https://github.com/google/leveldb/blob/1.20/db/db_impl.cc, `DBImpl::Write` and `RecordBackgroundError`
 */

import { open, readdir, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { ClassicLevel } from 'classic-level'
import { errnoOf, messageOf, P2PError } from '../common/errors.ts'
import { KeyedLock } from '../common/keyed-lock.ts'
import { KiB } from '../common/units.ts'
import { LogSync } from './log-sync.ts'

export type Level = ClassicLevel<Uint8Array, Uint8Array>

/** Of a level, or of a part of one. */
interface EntryIterator<Key, Value> {
  nextv(size: number): Promise<[Key, Value][]>
  close(): Promise<void>
}

/** Fewer where they are large: the library reads 16 KiB at once. */
const ENTRIES_AT_ONCE = 1000
/** What opening writes besides what the logs hold. */
const ROOM_TO_OPEN = 64 * KiB
/** Tells whether files can be written; LevelDB passes over a name like this. */
const PROBE = 'probe'

export class LevelGuard {
  readonly #level: Level
  readonly #turns = new KeyedLock()
  /** Parts of it, which are opened after it. */
  readonly #parts = new Set<{ open(): Promise<void> }>()
  readonly #listeners: (() => void)[] = []
  #logs: LogSync
  /** A write has failed since it was opened. */
  #isBroken = false
  #isClosed = false
  #reopening: Promise<void> | undefined
  /** Changes when it is opened anew: iterators of before are closed then. */
  #generation = 0

  constructor(level: Level) {
    this.#level = level
    this.#logs = new LogSync(level.location)
  }

  get level(): Level {
    return this.#level
  }

  get location(): string {
    return this.#level.location
  }

  /** Whether what was written last may come back with the next opening although it was reported as failed. */
  get isBroken(): boolean {
    return this.#isBroken
  }

  /** Runs what reads. That goes on while nothing can be written. @throws P2PError `io`, `disk-full` */
  async read<T>(work: (level: Level) => Promise<T>): Promise<T> {
    if (this.#reopening !== undefined) await this.#reopening.catch(() => {})
    // It could be closed, and not be opened since.
    if (this.#isBroken && this.#level.status !== 'open') await this.change(async () => {})
    try {
      return await work(this.#level)
    } catch (error) {
      throw databaseError(error, this.location)
    }
  }

  /**
   * The entries of an iterator, as they were when it began, read some at a time. If the database had to be opened
   * anew meanwhile, the rest are as they were then.
   *
   * @param begin - begins behind this key, or where there is none, at the first entry
   * @throws P2PError `io`, `disk-full`
   */
  async *iterate<Key, Value>(
    begin: (level: Level, behind: Key | undefined) => EntryIterator<Key, Value>,
  ): AsyncGenerator<[Key, Value]> {
    let iterator: EntryIterator<Key, Value> | undefined
    let generation: number | undefined
    let last: Key | undefined
    try {
      // Many want the first alone.
      for (let count = 1; ; count = ENTRIES_AT_ONCE) {
        const entries = await this.read((level) => {
          if (iterator === undefined || generation !== this.#generation) iterator = begin(level, last)
          generation = this.#generation
          return iterator.nextv(count)
        })
        if (entries.length === 0) return
        last = entries.at(-1)![0]
        yield* entries
      }
    } finally {
      await iterator?.close()
    }
  }

  /**
   * Runs what writes, one after the other, so that nothing is acknowledged that was written behind what has failed.
   *
   * @param options - `sync`: return only when all that was written so far survives a power cut, given that `work` syncs
   * @throws P2PError `io`, `disk-full`
   */
  async change<T>(work: (level: Level) => Promise<T>, { sync = false } = {}): Promise<T> {
    return await this.#turns.run('change', async () => {
      try {
        if (this.#isBroken && !this.#isClosed) await this.#reopen()
        const result = await work(this.#level)
        if (sync) await this.#logs.settle()
        return result
      } catch (error) {
        this.#isBroken = true
        throw databaseError(error, this.location)
      }
    })
  }

  /** Opens `part` again whenever this is. */
  keepOpen(part: { open(): Promise<void> }): void {
    this.#parts.add(part)
  }

  /** Calls `listener` whenever this has been opened anew, before anything else is done with it. */
  onReopened(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** Waits for what is being written, then lets go of the lock. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#turns.run('change', () => this.#level.close())
  }

  async #reopen(): Promise<void> {
    // Closed it could not be read, which is all that is asked of many a node with a full disk.
    await assertRoomToOpen(this.location)
    this.#reopening = (async () => {
      await this.#level.close()
      // Never a new one in the place of one that has gone.
      await openLevel(this.#level, { createIfMissing: false })
      for (const part of this.#parts) await part.open()
      this.#generation++
      this.#logs = new LogSync(this.location)
      await this.#logs.settle()
      this.#isBroken = false
      for (const listener of this.#listeners) listener()
    })()
    try {
      await this.#reopening
    } finally {
      this.#reopening = undefined
    }
  }
}

/** @throws P2PError `repo-held` if another process, or this one, has it open; what the library throws */
export async function openLevel(level: Level, { createIfMissing }: { createIfMissing: boolean }): Promise<void> {
  try {
    await level.open({ createIfMissing })
  } catch (error) {
    // What the library says only that opening has failed of.
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
    if (errnoOf(cause) !== 'LEVEL_LOCKED') throw cause
    throw new P2PError('repo-held', `The database ${level.location} is held by another process`, { cause })
  }
}

async function assertRoomToOpen(folder: string): Promise<void> {
  let needed = ROOM_TO_OPEN
  for (const name of await readdir(folder)) {
    if (name.endsWith('.log')) needed += await sizeOf(join(folder, name))
  }
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize < needed) throw diskFull(folder)
  const probe = join(folder, PROBE)
  const handle = await open(probe, 'w', 0o600)
  try {
    await handle.writeFile(PROBE)
    await handle.sync()
  } finally {
    await handle.close()
    await rm(probe, { force: true })
  }
}

/** LevelDB may be removing a log of which it has made a table. */
async function sizeOf(log: string): Promise<number> {
  try {
    return (await stat(log)).size
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 0
    throw error
  }
}

export function databaseError(error: unknown, folder: string): P2PError {
  if (error instanceof P2PError) return error
  const message = messageOf(error)
  // LevelDB has one code for every failing system call and tells them apart only in the text.
  if (/No space left on device|Disk quota exceeded/i.test(message)) return diskFull(folder, error)
  return new P2PError('io', `Cannot use the database ${folder}: ${message}`, { cause: error })
}

function diskFull(folder: string, cause?: unknown): P2PError {
  return new P2PError('disk-full', `Cannot write the database ${folder}: the disk is full`, {
    hint: 'Free some space and run the same command again.',
    cause,
  })
}
