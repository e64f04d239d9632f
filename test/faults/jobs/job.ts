/** What the campaigns break: one command of `p2p`, where it runs, and what must hold however it ended. */

import '../../../src/common/node20.ts'
import { cp, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Node, openNode } from '../../../src/node/open.ts'
import { resolveLocation } from '../../../src/repo/location.ts'
import type { Ground } from '../campaign.ts'

/** Where one run of a command happens: everything that it changes is in here. */
export interface Site {
  folder: string
  repo: string
  /** For what is downloaded. */
  out: string
}

/** How far a command came. */
export interface Ended {
  /** Null after a signal, undefined if the power went before it ended, or after. */
  code?: number | null
  /** What it has told its caller: what is acknowledged here has to hold. */
  stdout: string
}

export interface Job {
  name: string
  args(site: Site): string[]
  /**
   * Looks at what the command has left, and does the same again, which has to work.
   *
   * @returns what is wrong, a sentence each
   */
  check(site: Site, ended: Ended): Promise<string[]>
}

/** A job, and the folder that each of its sites starts as a copy of. */
export interface PreparedJob extends Job {
  template: string
}

/** Makes what a job needs. `template` is an empty site, to be filled with what is there before the command. */
export type PrepareJob = (ground: Ground, template: Site) => Promise<Job>

export function siteIn(folder: string): Site {
  return { folder, repo: join(folder, 'repo'), out: join(folder, 'out') }
}

/** Prepares jobs in folders of their own. */
export async function prepareJobs(ground: Ground, jobs: readonly PrepareJob[]): Promise<PreparedJob[]> {
  const prepared: PreparedJob[] = []
  for (const [index, prepare] of jobs.entries()) {
    const folder = join(ground.folder, `job-${index}`)
    const template = siteIn(join(folder, 'template'))
    await mkdir(template.out, { recursive: true })
    prepared.push({ ...(await prepare({ ...ground, folder }, template)), template: template.folder })
  }
  return prepared
}

/** A fresh site for the job. */
export async function makeSite({ template }: PreparedJob, folder: string): Promise<Site> {
  await cp(template, folder, { recursive: true, preserveTimestamps: true })
  return siteIn(folder)
}

/** Runs `use` with a node on the site's repo, in this process. */
export async function withNode<T>({ repo }: Site, use: (node: Node) => Promise<T>): Promise<T> {
  const node = await openNode({
    location: resolveLocation({ repo, env: {}, home: '/', cwd: '/' }),
    command: 'check',
    holdTimeoutMs: 0,
    role: 'client',
    listen: [],
    bootstrap: [],
  })
  try {
    return await use(node)
  } finally {
    await node.close()
  }
}
