/**
 * The one database of a repo: `classic-level`, keys and values as bytes. Each kind of record has a space of its own,
 * told apart by a prefix of the key. The database's lock is also the repo's: it ends with its process.
 *
 * Opened by `repo/repo.ts`; spaces are used by `blockstore/references.ts` and `pin/pins.ts`, the datastore by libp2p's
 * peer store and DHT.
 * @see https://github.com/Level/classic-level
 */

import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import type { LevelDatastore } from 'datastore-level'
import { Batcher } from '../common/batcher.ts'
import { errnoOf, P2PError } from '../common/errors.ts'
import { databaseError, type Level, LevelGuard, openLevel } from './level-guard.ts'

export type SpaceOperation = { type: 'put'; key: Uint8Array; value: Uint8Array } | { type: 'del'; key: Uint8Array }

/** An operation on one of several spaces. */
export type SpaceWrite = SpaceOperation & { space: Space }

type DatastoreOperation = { type: 'put'; key: string; value: Uint8Array } | { type: 'del'; key: string }

/** What the library asks an iterator for. */
interface DatastoreRange {
  gte?: string
  lt?: string
  values: boolean
  keyEncoding: 'buffer'
}

export interface WriteOptions {
  /** Return only when the write survives a power cut. Default false: it survives the end of the process. */
  sync?: boolean | undefined
}

export interface IterateOptions {
  /** Only keys that start with these bytes. */
  prefix?: Uint8Array | undefined
  /** Only keys that are not before these bytes. */
  from?: Uint8Array | undefined
}

export interface OpenDatabaseOptions {
  /**
   * Whether it may be one that a power cut has ended while it was made: what there is of it is then put in order, and
   * what cannot be read is given up. Default false.
   */
  mayBeUnfinished?: boolean | undefined
  /** Whether it has been made before: a new one in its place would have forgotten everything. Default false. */
  mustExist?: boolean | undefined
}

/**
 * Opens the database in `folder`, making it if it is not there and does not have to be.
 *
 * @throws P2PError `repo-held` if another process, or this one, has it open; `io`; `disk-full`
 */
export async function openDatabase(
  folder: string,
  { mayBeUnfinished = false, mustExist = false }: OpenDatabaseOptions = {},
): Promise<Database> {
  const createIfMissing = !mustExist
  let level: Level
  try {
    // Before there is an object, which opens itself.
    if (mustExist) await assertMade(folder)
    level = new ClassicLevel(folder, { keyEncoding: 'view', valueEncoding: 'view' })
    await openLevel(level, { createIfMissing }).catch(async (error) => {
      if (!mayBeUnfinished || errnoOf(error) !== 'LEVEL_CORRUPTION') throw error
      // Under the database's own lock, so that nothing is taken from another process that came first.
      await ClassicLevel.repair(folder)
      await openLevel(level, { createIfMissing })
    })
  } catch (error) {
    throw databaseError(error, folder)
  }
  const database = new Database(level)
  try {
    await database.settle()
  } catch (error) {
    await database.close()
    throw error
  }
  return database
}

/** @throws P2PError `io` if what names all of its files is not there */
async function assertMade(folder: string): Promise<void> {
  await access(join(folder, 'CURRENT')).catch((cause) => {
    if (errnoOf(cause) !== 'ENOENT') throw cause
    throw new P2PError('io', `The database ${folder} has gone, and with it what was pinned`, {
      hint: 'Restore it from a backup. If there is none, move the repo away: a new one is made, and what is added again is kept.',
      cause,
    })
  })
}

export class Database {
  readonly #guard: LevelGuard
  /** What is written while something is being written goes together, which one sync then covers. */
  readonly #writes = new Batcher(async (waiting: { writes: SpaceWrite[]; sync: boolean }[]) => {
    const sync = waiting.some((each) => each.sync)
    const writes = waiting.flatMap((each) => each.writes)
    await this.#guard.change((level) => writeBatch(level, writes, { sync }), { sync })
    return waiting
  })

  constructor(level: Level) {
    this.#guard = new LevelGuard(level)
  }

  /** Whether a write that was reported as failed may turn out to be done once something can be written again. */
  get isInDoubt(): boolean {
    return this.#guard.isBroken
  }

  /** Calls `listener` when that is decided: what was read before may not be so any more. */
  onDecided(listener: () => void): void {
    this.#guard.onReopened(listener)
  }

  /** The records under one name: lower-case letters, digits and dashes. */
  space(name: string): Space {
    if (!/^[a-z0-9-]+$/.test(name)) throw new P2PError('internal', `"${name}" cannot name a database space`)
    return new Space(this, this.#guard, name)
  }

  /**
   * Writes into several spaces at once: all of it or nothing, even after a crash. What is reported as failed may be there
   * all the same: as long as {@link isInDoubt} is true, and after a crash.
   *
   * @throws P2PError `io`, `disk-full`
   */
  async write(writes: SpaceWrite[], { sync = false }: WriteOptions = {}): Promise<void> {
    if (writes.length > 0) await this.#writes.add({ writes, sync })
  }

  /** Makes everything that was written so far survive a power cut, given that the last write was synced. */
  async settle(): Promise<void> {
    await this.#guard.change(async () => {}, { sync: true })
  }

  /**
   * A libp2p datastore within this database. It cannot write synchronously, so what it holds survives the end of the
   * process, not a power cut. Closing it leaves the database open.
   *
   * @param name - one per user of the datastore: lower-case letters, digits and dashes
   */
  async datastore(name: string): Promise<LevelDatastore> {
    // Loaded here because only nodes that go online need it.
    const { LevelDatastore } = await import('datastore-level')
    // The library names the class it was written for, and calls only what is here.
    const datastore = new LevelDatastore(this.#datastoreLevel(name) as unknown as LevelDatastore['db'])
    await datastore.open()
    return datastore
  }

  #datastoreLevel(name: string) {
    const guard = this.#guard
    // A sublevel starts its keys with "!", which no space does.
    const level = guard.level.sublevel<string, Uint8Array>(name, { keyEncoding: 'utf8', valueEncoding: 'view' })
    guard.keepOpen(level)
    return {
      open: () => guard.read(() => level.open()),
      close: async () => {},
      get: (key: string) => guard.read(() => level.get(key)),
      put: (key: string, value: Uint8Array) => guard.change(() => level.put(key, value)),
      del: (key: string) => guard.change(() => level.del(key)),
      batch: (operations: DatastoreOperation[]) => guard.change(() => level.batch(operations)),
      iterator: (options: DatastoreRange) => {
        const entries = guard.iterate<string | undefined, Uint8Array>((_level, behind) => {
          const { gte, ...rest } = options
          return level.iterator({ ...rest, ...(behind === undefined ? { gte } : { gt: behind }) })
        })
        return { [Symbol.asyncIterator]: () => entries, close: async () => {} }
      },
    }
  }

  /** Waits for what is being written, then lets go of the lock. */
  async close(): Promise<void> {
    await this.#writes.idle()
    await this.#guard.close()
  }
}

/** The records under one prefix, ordered by the bytes of their keys. Every method throws P2PError `io` or `disk-full`. */
export class Space {
  readonly #database: Database
  readonly #guard: LevelGuard
  readonly #prefix: Buffer

  constructor(database: Database, guard: LevelGuard, name: string) {
    this.#database = database
    this.#guard = guard
    this.#prefix = Buffer.from(`${name}/`)
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return await this.#guard.read((level) => level.get(this.fullKey(key)))
  }

  /** The values in the order of the keys, undefined where there is none. */
  async getMany(keys: Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return await this.#guard.read((level) => level.getMany(keys.map((key) => this.fullKey(key))))
  }

  async has(key: Uint8Array): Promise<boolean> {
    return await this.#guard.read((level) => level.has(this.fullKey(key)))
  }

  async put(key: Uint8Array, value: Uint8Array, options?: WriteOptions): Promise<void> {
    await this.batch([{ type: 'put', key, value }], options)
  }

  async del(key: Uint8Array, options?: WriteOptions): Promise<void> {
    await this.batch([{ type: 'del', key }], options)
  }

  /** All of it or nothing, even after a crash. */
  async batch(operations: SpaceOperation[], options?: WriteOptions): Promise<void> {
    await this.#database.write(
      operations.map((operation) => ({ ...operation, space: this })),
      options,
    )
  }

  /** Removes every record whose key starts with the prefix; not at once for others, who may see some gone and some left. */
  async clear({ prefix = new Uint8Array() }: Pick<IterateOptions, 'prefix'> = {}): Promise<void> {
    const start = this.fullKey(prefix)
    await this.#guard.change((level) => level.clear({ gte: start, lt: upperBound(start) }))
  }

  /**
   * Records in ascending order of their keys, as they were when it started, read some at a time. If the database
   * had to be opened anew meanwhile, the rest are as they were then.
   */
  async *iterate(options: IterateOptions = {}): AsyncGenerator<[Uint8Array, Uint8Array]> {
    const { prefix = new Uint8Array(), from = prefix } = options
    const start = this.fullKey(from)
    const lt = upperBound(this.fullKey(prefix))
    const entries = this.#guard.iterate<Uint8Array, Uint8Array>((level, behind) =>
      level.iterator(behind === undefined ? { gte: start, lt } : { gt: behind, lt }),
    )
    for await (const [key, value] of entries) yield [key.subarray(this.#prefix.byteLength), value]
  }

  /** The key as it is in the database. */
  fullKey(key: Uint8Array): Uint8Array {
    return Buffer.concat([this.#prefix, key])
  }
}

/** Filled one by one a batch costs a third of what it does as a list of operations. */
async function writeBatch(level: Level, writes: SpaceWrite[], options: { sync: boolean }): Promise<void> {
  const batch = level.batch()
  for (const write of writes) {
    const key = write.space.fullKey(write.key)
    if (write.type === 'put') batch.put(key, write.value)
    else batch.del(key)
  }
  await batch.write(options)
}

/** The first key after all that start with `prefix`, which holds at least the `/` of its space. */
function upperBound(prefix: Uint8Array): Uint8Array {
  let end = prefix.byteLength
  while (prefix[end - 1] === 0xff) end--
  const bound = Uint8Array.from(prefix.subarray(0, end))
  bound[end - 1]! += 1
  return bound
}
