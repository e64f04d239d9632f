/**
 * The repo: settings, identity, database and blocks of one user, made by the first command that needs it and held by
 * one process at a time. The lock is the database's own, gone with its process; the file that names the holder serves
 * messages only.
 *
 * Opened by `node/open.ts`, which builds the stores over it.
 */

import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pid } from 'node:process'
import type { Ed25519PrivateKey } from '@libp2p/interface'
import { type AbortOptions, sleep } from '../common/abort.ts'
import { systemClock } from '../common/clock.ts'
import { errnoOf, hasCode, localIoError, P2PError } from '../common/errors.ts'
import { formatDuration } from '../common/units.ts'
import { type Database, openDatabase } from '../database/database.ts'
import { loadConfig } from './config.ts'
import { makeFolder, TEMPORARY_SUFFIX, writeFileDurably } from './durable-files.ts'
import type { RepoLocation } from './location.ts'
import type { Config } from './settings.ts'

const VERSION = '3'
const POLL_MS = 200

/**
 * Brings a repo to this version. It may be killed at any moment, and is then called again.
 *
 * @throws P2PError `io`, `disk-full`
 */
export type Migration = (repo: { location: RepoLocation; database: Database }) => Promise<void>

export interface OpenRepoOptions extends AbortOptions {
  location: RepoLocation
  /** By the version that they start from. Default: none, so that only repos of this version are opened. */
  migrations?: ReadonlyMap<string, Migration> | undefined
  /** Shown to others who find the repo held, as in "p2p serve". */
  command: string
  /** Refuse to make a repo where there is none. Default false. */
  mustExist?: boolean | undefined
  /** How long to wait for a process that holds the repo; 0: not at all. */
  waitMs: number
  /** Called once, with a sentence for people, if there is something to wait for. */
  onWait?: ((message: string) => void) | undefined
}

/**
 * Opens the repo, making it if it is not there.
 *
 * @throws P2PError `not-found` if it is not there and has to be, `repo-held` if another process still holds it after
 * `waitMs`, `repo-version`, `bad-config`, `io`, `disk-full`; the signal's reason when aborted
 */
export async function openRepo(options: OpenRepoOptions): Promise<Repo> {
  const { location, migrations = new Map() } = options
  const config = await loadConfig(location.configFile)
  // Before the database, which changes files when it is opened: what another version made is left untouched.
  const known = await readKnownVersion(location, migrations)
  if (known === undefined) await assertMayBeMade(options)
  try {
    if (known === undefined) await makeFolder(location.databaseDir)
    const database = await takeDatabase(options)
    try {
      // Again, because whoever held the repo until now may have made it, or made it anew.
      const version = await readKnownVersion(location, migrations)
      if (version === undefined) await makeFolder(location.blocksDir)
      else await migrations.get(version)?.({ location, database })
      if (version !== VERSION) await writeFileDurably(location.versionFile, `${VERSION}\n`)
      await writeHolder(location, options.command)
    } catch (error) {
      await database.close()
      throw error
    }
    return new Repo(location, config, database)
  } catch (error) {
    if (error === options.signal?.reason) throw error
    throw localIoError(error, 'open the repo', location.dataDir)
  }
}

export class Repo {
  readonly location: RepoLocation
  readonly config: Config
  readonly database: Database
  #identity: Promise<Ed25519PrivateKey> | undefined

  constructor(location: RepoLocation, config: Config, database: Database) {
    this.location = location
    this.config = config
    this.database = database
  }

  /** The version of what is on the disk. */
  get version(): string {
    return VERSION
  }

  get blocksDir(): string {
    return this.location.blocksDir
  }

  /**
   * The node's key, made when it is first asked for.
   *
   * @throws P2PError `bad-config`, `io`, `disk-full`
   */
  async identity(): Promise<Ed25519PrivateKey> {
    // Loaded here because only nodes that go online need libp2p's code.
    this.#identity ??= import('./identity.ts').then(({ loadIdentity }) => loadIdentity(this.location.identityFile))
    return await this.#identity
  }

  /** Files that an interrupted write has left beside those that it was to replace. @throws P2PError `io` */
  async leftovers(): Promise<string[]> {
    const { dataDir } = this.location
    try {
      const names = await readdir(dataDir)
      return names.filter((name) => name.endsWith(TEMPORARY_SUFFIX)).map((name) => join(dataDir, name))
    } catch (error) {
      throw localIoError(error, 'list', dataDir)
    }
  }

  /** Lets go of the repo. */
  async close(): Promise<void> {
    try {
      // While the lock is still ours, so that it cannot be the next holder's file.
      await rm(this.location.holderFile, { force: true })
    } finally {
      await this.database.close()
    }
  }
}

/** @throws P2PError `not-found` if there has to be a repo; `io` if there was one, whose blocks nothing would name any more */
async function assertMayBeMade({ location, mustExist = false }: OpenRepoOptions): Promise<void> {
  const { dataDir, blocksDir, versionFile } = location
  if (await hasEntries(blocksDir)) {
    throw new P2PError('io', `The repo ${dataDir} has blocks, but ${versionFile} has gone`, {
      hint: 'Restore it from a backup, the database too. If there is none, move the repo away: "p2p car import" takes the blocks of each of its packs.',
    })
  }
  if (mustExist) {
    throw new P2PError('not-found', `There is no repo at ${dataDir}`, {
      hint: 'Is its disk mounted, and are --repo and P2P_PATH right? The first "p2p add" makes one.',
    })
  }
}

async function hasEntries(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).length > 0
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw localIoError(error, 'list', folder)
  }
}

async function takeDatabase(options: OpenRepoOptions): Promise<Database> {
  const { location, migrations = new Map(), waitMs, signal, onWait } = options
  const deadline = systemClock.monotonicMs() + waitMs
  // The version is written once the database is there to stay.
  const mayBeUnfinished = (await readKnownVersion(location, migrations)) === undefined
  const mustExist = !mayBeUnfinished
  for (let attempt = 0; ; attempt++) {
    signal?.throwIfAborted()
    try {
      return await openDatabase(location.databaseDir, { mayBeUnfinished, mustExist })
    } catch (error) {
      if (!hasCode(error, 'repo-held')) throw error
      const held = `The repo ${location.dataDir} is held by ${await describeHolder(location)}`
      const leftMs = deadline - systemClock.monotonicMs()
      if (leftMs <= 0) {
        throw new P2PError('repo-held', held, {
          hint: 'Wait until it has ended or end it, or use another repo with --repo <folder>.',
          cause: error,
        })
      }
      if (attempt === 0) onWait?.(`${held}; waiting up to ${formatDuration(waitMs)}`)
      await sleep(Math.min(POLL_MS, leftMs), { signal })
    }
  }
}

/** Undefined for a repo that is not made yet. @throws P2PError `repo-version` for one that this program cannot open */
async function readKnownVersion(
  { versionFile, dataDir }: RepoLocation,
  migrations: ReadonlyMap<string, Migration>,
): Promise<string | undefined> {
  let text: string
  try {
    text = await readFile(versionFile, 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw localIoError(error, 'read', versionFile)
  }
  const version = text.trim()
  if (version === VERSION || migrations.has(version)) return version
  throw new P2PError(
    'repo-version',
    `The repo ${dataDir} has version "${version}"; this p2p knows version ${VERSION}`,
    {
      hint: 'Use the p2p that made it, or another repo with --repo <folder>. Nothing in it was changed.',
    },
  )
}

async function writeHolder({ holderFile }: RepoLocation, command: string): Promise<void> {
  const holder = { pid, command, since: new Date(systemClock.wallMs()).toISOString() }
  // Renamed into place, so that nobody reads half of it.
  const temporary = `${holderFile}${TEMPORARY_SUFFIX}`
  await writeFile(temporary, `${JSON.stringify(holder)}\n`, { mode: 0o600 })
  await rename(temporary, holderFile)
}

/** Who holds the repo, as far as the file beside the lock tells. */
export async function describeHolder({ holderFile }: Pick<RepoLocation, 'holderFile'>): Promise<string> {
  try {
    const holder = JSON.parse(await readFile(holderFile, 'utf8')) as { pid: number; command: string }
    return `\`${holder.command}\` (pid ${holder.pid})`
  } catch {
    // It has just taken the lock and not written the file yet, or is about to let go.
    return 'another process'
  }
}
