/**
 * The one database of a repo: `classic-level`, keys and values as bytes. Each kind of record has a space of its own,
 * told apart by a prefix of the key. The database's lock is also the repo's: it ends with its process.
 *
 * Opened by `repo/repo.ts`; spaces are used by `blockstore/references.ts` and `pin/pins.ts`, the datastore by libp2p's
 * peer store and DHT.
 * @see https://github.com/Level/classic-level
 */

import { ClassicLevel } from 'classic-level'
import type { LevelDatastore } from 'datastore-level'
import { errnoOf, messageOf, P2PError } from '../common/errors.ts'
import { LogSync } from './log-sync.ts'

type Level = ClassicLevel<Uint8Array, Uint8Array>

export type SpaceOperation = { type: 'put'; key: Uint8Array; value: Uint8Array } | { type: 'del'; key: Uint8Array }

/** An operation on one of several spaces. */
export type SpaceWrite = SpaceOperation & { space: Space }

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
}

/**
 * Opens the database in `folder`, making it if it is not there.
 *
 * @throws P2PError `repo-held` if another process, or this one, has it open; `io`; `disk-full`
 */
export async function openDatabase(
  folder: string,
  { mayBeUnfinished = false }: OpenDatabaseOptions = {},
): Promise<Database> {
  const level: Level = new ClassicLevel(folder, { keyEncoding: 'view', valueEncoding: 'view' })
  try {
    await level.open().catch(async (error) => {
      if (!mayBeUnfinished || errnoOf(causeOf(error)) !== 'LEVEL_CORRUPTION') throw error
      // Under the database's own lock, so that nothing is taken from another process that came first.
      await ClassicLevel.repair(folder)
      await level.open()
    })
  } catch (error) {
    const cause = causeOf(error)
    if (errnoOf(cause) === 'LEVEL_LOCKED') {
      throw new P2PError('repo-held', `The database ${folder} is held by another process`, { cause })
    }
    throw databaseError(cause, folder)
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

/** What the library says only that opening has failed of. */
function causeOf(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? error.cause : error
}

export class Database {
  readonly #level: Level
  readonly #logs: LogSync

  constructor(level: Level) {
    this.#level = level
    this.#logs = new LogSync(level.location)
  }

  /** The records under one name: lower-case letters, digits and dashes. */
  space(name: string): Space {
    if (!/^[a-z0-9-]+$/.test(name)) throw new P2PError('internal', `"${name}" cannot name a database space`)
    return new Space(this, this.#level, name)
  }

  /** Writes into several spaces at once: all of it or nothing, even after a crash. @throws P2PError `io`, `disk-full` */
  async write(writes: SpaceWrite[], { sync = false }: WriteOptions = {}): Promise<void> {
    if (writes.length === 0) return
    try {
      await writeBatch(this.#level, writes, { sync })
    } catch (error) {
      throw databaseError(error, this.#level.location)
    }
    if (sync) await this.settle()
  }

  /** Makes everything that was written so far survive a power cut, given that the last write was synced. */
  async settle(): Promise<void> {
    try {
      await this.#logs.settle()
    } catch (error) {
      throw databaseError(error, this.#level.location)
    }
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
    // A sublevel starts its keys with "!", which no space does.
    const sublevel = this.#level.sublevel<string, Uint8Array>(name, { keyEncoding: 'utf8', valueEncoding: 'view' })
    // The library names the class it was written for, and calls only what every level has.
    const datastore = new LevelDatastore(sublevel as unknown as LevelDatastore['db'])
    await datastore.open()
    return datastore
  }

  /** Waits for what is being written, then lets go of the lock. */
  async close(): Promise<void> {
    await this.#level.close()
  }
}

/** The records under one prefix, ordered by the bytes of their keys. Every method throws P2PError `io` or `disk-full`. */
export class Space {
  readonly #database: Database
  readonly #level: Level
  readonly #prefix: Buffer

  constructor(database: Database, level: Level, name: string) {
    this.#database = database
    this.#level = level
    this.#prefix = Buffer.from(`${name}/`)
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return await this.#guard(() => this.#level.get(this.fullKey(key)))
  }

  /** The values in the order of the keys, undefined where there is none. */
  async getMany(keys: Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return await this.#guard(() => this.#level.getMany(keys.map((key) => this.fullKey(key))))
  }

  async has(key: Uint8Array): Promise<boolean> {
    return await this.#guard(() => this.#level.has(this.fullKey(key)))
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
    await this.#guard(() => this.#level.clear({ gte: start, lt: upperBound(start) }))
  }

  /** Records in ascending order of their keys, as they were when it started, read as they are asked for. */
  async *iterate(options: IterateOptions = {}): AsyncGenerator<[Uint8Array, Uint8Array]> {
    const { prefix = new Uint8Array(), from = prefix } = options
    const iterator = this.#level.iterator({ gte: this.fullKey(from), lt: upperBound(this.fullKey(prefix)) })
    try {
      for (;;) {
        const entry = await this.#guard(() => iterator.next())
        if (entry === undefined) return
        yield [entry[0].subarray(this.#prefix.byteLength), entry[1]]
      }
    } finally {
      await iterator.close()
    }
  }

  /** The key as it is in the database. */
  fullKey(key: Uint8Array): Uint8Array {
    return Buffer.concat([this.#prefix, key])
  }

  async #guard<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw databaseError(error, this.#level.location)
    }
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

function databaseError(error: unknown, folder: string): P2PError {
  const message = messageOf(error)
  // LevelDB has one code for every failing system call and tells them apart only in the text.
  if (/No space left on device|Disk quota exceeded/i.test(message)) {
    return new P2PError('disk-full', `Cannot write the database ${folder}: the disk is full`, {
      hint: 'Free some space and run the same command again.',
      cause: error,
    })
  }
  return new P2PError('io', `Cannot use the database ${folder}: ${message}`, { cause: error })
}
