/** Seeders in processes of their own: one that is reached directly, or several of the same content behind links. */

import { copyFile, cp, link, mkdir, readdir } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { sharding } from '../../src/blockstore/sharding.ts'
import type { CleanUpScope } from '../support/clean-up.ts'
import { addPath, type Serve, startServe } from '../support/processes.ts'
import { findFreePort, type ProxyOptions, startProxy, type TcpProxy } from '../support/proxy.ts'

/** A seeder that announces the proxy before it and nothing else, and whose bytes are counted there. */
export interface Seeder {
  /** The link: the only address of the seeder that others are told. */
  proxy: TcpProxy
  /** Its multiaddr, on the proxy. */
  address: string
  peerId: string
  /** Ends its process without a warning. */
  kill(): Promise<void>
  /** Starts it again, at the same address, after {@link Seeder.kill}. */
  restart(): Promise<void>
}

/** Links that are all alike. */
export function alike(count: number, link: ProxyOptions): ProxyOptions[] {
  return Array.from({ length: count }, () => link)
}

/** Adds the path and serves it, without a link. @returns its CID and the seeder's multiaddr */
export async function startDirectSeeder(
  scope: CleanUpScope,
  { folder, path }: { folder: string; path: string },
): Promise<{ cid: string; address: string }> {
  const repo = join(folder, 'seeder')
  const cid = await addPath(repo, path)
  const { multiaddr } = await startServe(scope, repo)
  return { cid, address: multiaddr }
}

/** Adds the path once and starts one seeder a link; all of them end with the scope. */
export async function startSeeders(
  scope: CleanUpScope,
  { folder, path, links }: { folder: string; path: string; links: ProxyOptions[] },
): Promise<{ cid: string; seeders: Seeder[] }> {
  const added = join(folder, 'seeder-0')
  const cid = await addPath(added, path)
  const repos = links.map((_, i) => join(folder, `seeder-${i}`))
  for (const repo of repos.slice(1)) await copyRepo(added, repo)
  const seeders = await Promise.all(repos.map((repo, i) => startBehindLink(scope, repo, links[i] ?? {})))
  return { cid, seeders }
}

/**
 * Starts counting what the links of these seeders carry to the receivers.
 * @returns a function that tells the bytes so far, encryption included
 */
export function countBytes(seeders: Pick<Seeder, 'proxy'>[]): () => number {
  const total = (): number => seeders.reduce((sum, { proxy }) => sum + proxy.bytesFromTarget, 0)
  const before = total()
  return () => total() - before
}

async function startBehindLink(scope: CleanUpScope, repo: string, options: ProxyOptions): Promise<Seeder> {
  const targetPort = await findFreePort()
  const proxy = await startProxy(scope, { ...options, targetPort })
  const start = (): Promise<Serve> =>
    startServe(scope, repo, ['--listen', `/ip4/127.0.0.1/tcp/${targetPort}`, '--announce', proxy.multiaddr])
  let serve = await start()
  return {
    proxy,
    address: serve.multiaddr,
    peerId: serve.peerId,
    kill: async () => {
      serve.process.kill('SIGKILL')
      await serve.process.finished
    },
    restart: async () => {
      serve = await start()
    },
  }
}

/** Makes a second repo that has not been served from yet, so that it gets an identity of its own; block files are linked. */
async function copyRepo(from: string, to: string): Promise<void> {
  const blocks = join(from, 'blocks')
  await cp(from, to, { recursive: true, filter: (path) => path !== blocks })
  for (const entry of await readdir(blocks, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    const copy = join(to, relative(from, path))
    if (entry.isDirectory()) await mkdir(copy, { recursive: true })
    else if (entry.name.endsWith(sharding.extension)) await link(path, copy)
    // A pack is written to.
    else await copyFile(path, copy)
  }
}
