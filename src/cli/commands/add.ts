/** `p2p add`: paths or stdin -> CIDs on stdout. */

import { resolve } from 'node:path'
import { systemClock } from '../../common/clock.ts'
import { P2PError } from '../../common/errors.ts'
import { formatBytes } from '../../common/units.ts'
import type { AddedRoot, AddOptions, AddResult, AddSource } from '../../node/api.ts'
import { type Context, withNode } from '../context.ts'
import { type ImportFlags, importOptionsFrom } from '../import-options.ts'
import type { Outcome } from '../outcome.ts'

export interface AddFlags extends ImportFlags {
  pin: boolean
  onlyHash?: boolean
  timeout?: number
}

const STDIN = '-'

/** @throws P2PError as `Api.add` does; `usage` for paths and flags that do not go together */
export async function add(context: Context, paths: string[], flags: AddFlags): Promise<Outcome> {
  const { output, signal, cwd } = context
  assertPossible(paths, flags)
  const imports = importOptionsFrom(flags, cwd)
  if (paths.includes(STDIN) && context.stdin.isTTY === true) output.say('Reading from the terminal; Ctrl-D ends it.')
  const givenPaths = new Map(paths.map((path) => [absolute(context, path), path]))
  const asGiven = <T extends { path: string }>(entry: T): T => ({
    ...entry,
    path: givenPaths.get(entry.path) ?? entry.path,
  })

  const sources = paths.map((path) => sourceOf(context, path))
  const options: AddOptions = {
    ...imports,
    pin: flags.pin,
    signal,
    onProgress: output.onProgress,
    onRoot: (root: AddedRoot) => {
      output.resultLine(root.cid)
      output.event('root', { ...asGiven(root) })
    },
  }
  const result = await (flags.onlyHash === true
    ? hashOnly(sources, options)
    : withNode(context, { command: 'p2p add', holdTimeoutMs: flags.timeout }, (node) => node.add(sources, options)))

  const roots = result.roots.map(asGiven)
  const failures = result.failures.map(asGiven)
  return {
    result: { roots, failures, skippedHidden: result.skippedHidden, reachable: result.reachable },
    summary: summaryOf(result, flags),
    problems: failures.map(({ path, message }) => `${path} is not added: ${message}`),
    failure:
      failures.length === 0
        ? undefined
        : new P2PError('partial', `${failures.length} of ${paths.length} paths could not be added`, {
            hint: `${roots.length > 0 ? 'The others are added; mend' : 'Nothing was added: mend'} what is named above and add those paths again.`,
          }),
  }
}

/** Needs no repo, and makes none. */
async function hashOnly(sources: AddSource[], options: AddOptions): Promise<AddResult> {
  const { hashSources } = await import('../../node/operations/add.ts')
  return await hashSources({ clock: systemClock }, sources, options)
}

/** @throws P2PError `usage` */
function assertPossible(paths: string[], flags: AddFlags): void {
  if (paths.filter((path) => path === STDIN).length > 1) {
    throw new P2PError('usage', 'stdin can be read once only', { hint: 'Give "-" a single time.' })
  }
  if (paths.includes('')) {
    throw new P2PError('usage', 'An empty path names nothing', { hint: 'The current folder is ".".' })
  }
  if (paths.includes(STDIN) && flags.nocopy === true) {
    throw new P2PError('usage', '--nocopy cannot be combined with stdin', {
      hint: 'What comes from stdin stands nowhere else: leave out --nocopy, or save it to a file first.',
    })
  }
}

function absolute({ cwd }: Context, path: string): string {
  return path === STDIN ? path : resolve(cwd, path)
}

function sourceOf(context: Context, path: string): AddSource {
  if (path === STDIN) return { name: STDIN, content: context.stdin }
  return { path: absolute(context, path) }
}

function summaryOf({ roots, skippedHidden, reachable }: AddResult, { nocopy, onlyHash }: AddFlags): string[] {
  const lines = []
  if (skippedHidden > 0) {
    lines.push(`Left out ${skippedHidden} hidden ${skippedHidden === 1 ? 'entry' : 'entries'}; --hidden takes them in.`)
  }
  if (roots.length > 0) {
    const bytes = roots.reduce((sum, root) => sum + root.bytes, 0)
    if (onlyHash === true) return [...lines, `Hashed ${formatBytes(bytes)}; nothing is kept.`]
    lines.push(`Added ${formatBytes(bytes)}.`)
    if (nocopy === true)
      lines.push('The content was not copied: it can be fetched as long as nobody changes or moves the files.')
    if (reachable) lines.push('Others can fetch it from the "p2p serve" that runs here.')
    else lines.push('Nobody can fetch it from here yet: run "p2p serve" to let others.')
  }
  return lines
}
