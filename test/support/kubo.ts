/**
 * A real Kubo node in a process of its own, for the interoperability tests and the bench. The binary is the one that
 * `KUBO_BINARY` names, or the one that `npm run kubo:build` has put into the user's cache.
 */

import { execFile } from 'node:child_process'
import { access, readFile, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { MINUTE_MS, MiB } from '../../src/common/units.ts'
import { startBackground } from './background.ts'
import type { CleanUpScope } from './clean-up.ts'
import { makeTempDir } from './temp.ts'

const run = promisify(execFile)

/** The Go module that pins Kubo. */
export const kuboModuleFolder = fileURLToPath(new URL('../../../test/interop/kubo/', import.meta.url))

/** Longest time for one command to a node, unless told otherwise. */
const COMMAND_LIMIT_MS = 3 * MINUTE_MS

/** Kubo's names of the import recipes of IPIP-499. */
export type KuboProfile = 'unixfs-v1-2025' | 'unixfs-v0-2015'

/** A running Kubo node. */
export interface Kubo {
  peerId: string
  multiaddr: string
  /** TCP port of 127.0.0.1 that it listens on. */
  port: number
  /** Imports a file or folder by the profile of the node. @returns its CID */
  add(path: string): Promise<string>
  /** Connects to the peers and fetches a file or folder, to a path that must not exist. */
  get(cid: string, peers: string | string[], output: string): Promise<void>
  /** Writes a DAG as a CAR file. */
  exportCar(cid: string): Promise<Buffer>
  /** Runs `ipfs` with these arguments against the node. @returns its stdout, trimmed */
  ipfs(...args: string[]): Promise<string>
}

export interface KuboOptions {
  /** Default `unixfs-v1-2025`. */
  profile?: KuboProfile
  /** Longest time for one command to the node, in milliseconds. Default 180,000. */
  commandLimitMs?: number
  /** Multiaddrs that others are told instead of those it listens on. */
  announce?: string[] | undefined
}

/** Where the build of the pinned version belongs. */
export async function kuboCachePath(): Promise<string> {
  const goMod = await readFile(join(kuboModuleFolder, 'go.mod'), 'utf8')
  const version = /github\.com\/ipfs\/kubo (v\S+)/.exec(goMod)?.[1]
  if (version === undefined) throw new Error('go.mod does not name a version of github.com/ipfs/kubo')
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'p2p-kubo', version, 'ipfs')
}

/** The path of Kubo's binary, or undefined if there is none here. */
async function findKubo(): Promise<string | undefined> {
  if (process.env.KUBO_BINARY) return process.env.KUBO_BINARY
  const path = await kuboCachePath()
  return await access(path).then(
    () => path,
    () => undefined,
  )
}

/** Why there is no Kubo here, or false. */
export async function noKubo(): Promise<string | false> {
  if ((await findKubo()) !== undefined) return false
  return 'no Kubo: run `npm run kubo:build` (needs Go), or name its binary in KUBO_BINARY'
}

/** A repo of Kubo without a running node: commands work in it offline. @returns a function that runs `ipfs`, see {@link Kubo} */
export async function initKubo(scope: CleanUpScope, profile: KuboProfile): Promise<Kubo['ipfs']> {
  const { ipfs } = await makeRepo(scope, profile, COMMAND_LIMIT_MS)
  return (...args) => ipfs('--offline', ...args)
}

async function makeRepo(scope: CleanUpScope, profile: KuboProfile, commandLimitMs: number) {
  const binary = await findKubo()
  if (binary === undefined) throw new Error('there is no Kubo here')
  const repo = await makeTempDir(scope)
  const env = { ...process.env, IPFS_PATH: repo, IPFS_TELEMETRY: 'off' }
  const ipfs = async (...args: string[]): Promise<string> => {
    const { stdout } = await run(binary, args, { env, timeout: commandLimitMs, maxBuffer: 64 * MiB })
    return stdout.trim()
  }
  await ipfs('init', '--profile', `test,${profile}`)
  return { binary, repo, env, ipfs }
}

/** Starts a node without content that knows no other and listens on 127.0.0.1 alone; it ends with the scope. */
export async function startKubo(
  scope: CleanUpScope,
  { profile = 'unixfs-v1-2025', commandLimitMs = COMMAND_LIMIT_MS, announce = [] }: KuboOptions = {},
): Promise<Kubo> {
  const { binary, repo, env, ipfs } = await makeRepo(scope, profile, commandLimitMs)
  await keepToLoopback(join(repo, 'config'), announce)
  await startDaemon(scope, binary, env)
  const { ID, Addresses } = JSON.parse(await ipfs('id')) as { ID: string; Addresses: string[] }
  return {
    peerId: ID,
    multiaddr: Addresses[0] ?? '',
    port: Number(/\/tcp\/(\d+)/.exec(await ipfs('swarm', 'addrs', 'listen'))?.[1]),
    add: (path) => ipfs('add', '--recursive', '--quieter', path),
    get: async (cid, peers, output) => {
      await ipfs('swarm', 'connect', ...[peers].flat())
      await ipfs('get', '--progress=false', '--output', output, cid)
    },
    exportCar: async (cid) => {
      const args = ['dag', 'export', '--progress=false', cid]
      const options = { env, timeout: commandLimitMs, maxBuffer: 512 * MiB, encoding: 'buffer' } as const
      return (await run(binary, args, options)).stdout
    },
    ipfs,
  }
}

/**
 * The profile `test` has set addresses on 127.0.0.1, no bootstrap peers and no mDNS; this ends what is left that could
 * ask a server of the outside.
 */
async function keepToLoopback(configPath: string, announce: string[]): Promise<void> {
  const config = JSON.parse(await readFile(configPath, 'utf8'))
  config.Addresses.Announce = announce
  config.Routing.Type = 'dht'
  config.HTTPRetrieval.Enabled = false
  config.Version.SwarmCheckEnabled = false
  config.AutoNAT.ServiceMode = 'disabled'
  config.Swarm.RelayClient.Enabled = false
  config.Swarm.RelayService.Enabled = false
  config.Swarm.EnableHolePunching = false
  await writeFile(configPath, JSON.stringify(config))
}

/** Starts the daemon and waits until it answers. */
async function startDaemon(scope: CleanUpScope, binary: string, env: NodeJS.ProcessEnv): Promise<void> {
  const { child, closed } = startBackground(scope, binary, ['daemon'], {
    env,
    stop: (daemon) => daemon.kill('SIGTERM'),
  })
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.includes('Daemon is ready')) resolve()
    })
    void closed.then((stderr) => reject(new Error(`Kubo did not start: ${stderr}`)))
  })
}
