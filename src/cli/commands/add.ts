/** `p2p add`: paths or stdin -> CIDs on stdout. */

import { resolve } from 'node:path'
import { systemClock } from '../../common/clock.ts'
import { P2PError } from '../../common/errors.ts'
import { formatBytes } from '../../common/units.ts'
import type { AddedRoot, AddFailure, AddOptions, AddResult, AddSource } from '../../node/api.ts'
import { type Context, withNode } from '../context.ts'
import { type ImportFlags, importOptionsFrom } from '../import-options.ts'
import { linkTo } from '../links.ts'
import type { Outcome } from '../outcome.ts'

export interface AddFlags extends ImportFlags {
  pin: boolean
  onlyHash?: boolean
  timeout?: number
}

const STDIN = '-'
/** Links are for people to copy; with more of them `--json` has all. */
const MAX_LINKS_SHOWN = 10

/** @throws P2PError as `Api.add` does; `usage` for paths and flags that do not go together */
export async function add(context: Context, paths: string[], flags: AddFlags): Promise<Outcome> {
  const { output } = context
  assertPossible(paths, flags)
  const asGiven = givenPaths(context, paths)
  const options: AddOptions = {
    ...(await addOptionsFrom(context, flags)),
    pin: flags.pin,
    onRoot: (root: AddedRoot) => {
      output.resultLine(root.cid)
      output.event('root', { ...asGiven(root) })
    },
  }
  const sources = sourcesOf(context, paths)
  const result = await (flags.onlyHash === true
    ? hashOnly(sources, options)
    : withNode(context, { command: 'p2p add', holdTimeoutMs: flags.timeout }, (node) => node.add(sources, options)))
  const reachable = result.servedAt.length > 0
  const links = reachable ? result.roots.map((root) => linkTo(root, result.servedAt)) : []

  const roots = result.roots.map((root, index) => ({ ...asGiven(root), ...(links[index] && { link: links[index] }) }))
  const failures = result.failures.map(asGiven)
  return {
    result: { roots, failures, skippedHidden: result.skippedHidden, reachable },
    summary: summaryOf(result, flags, links),
    problems: failures.flatMap((failure) => failureLines(context, failure)),
    failure: addFailure(result),
  }
}

/** Needs no repo, and makes none. */
async function hashOnly(sources: AddSource[], options: AddOptions): Promise<AddResult> {
  const { hashSources } = await import('../../node/operations/add.ts')
  return await hashSources({ clock: systemClock }, sources, options)
}

/** What is wrong with a path: in one line, or with `--verbose` in one for each problem. */
export function failureLines({ flags }: Context, { path, message, problems }: AddFailure): string[] {
  return (flags.verbose ? problems : [message]).map((problem) => `${path} is not added: ${problem}`)
}

/** Why not everything was added; undefined if it was. */
export function addFailure({ roots, failures }: AddResult): P2PError | undefined {
  const [first] = failures
  if (first === undefined) return undefined
  const paths = roots.length + failures.length
  const isPartial = roots.length > 0
  const done = isPartial ? 'The others are added; mend' : 'Nothing was added: mend'
  const more = failures.some(({ problems }) => problems.length > 1) ? ' (--verbose names all)' : ''
  return new P2PError(isPartial ? 'partial' : first.code, `${failures.length} of ${paths} paths could not be added`, {
    hint: `${done} what is named above${more}, or leave it out with --ignore, and add those paths again.`,
  })
}

/** @throws P2PError `usage` */
export function assertPossible(paths: string[], flags: ImportFlags): void {
  if (paths.filter((path) => path === STDIN).length > 1) {
    throw new P2PError('usage', 'stdin can be read once only', { hint: 'Give "-" a single time.' })
  }
  if (paths.length > 1 && flags.name !== undefined && flags.wrap !== true) {
    throw new P2PError('usage', '--name is for one path', {
      hint: 'Add the paths one after the other, or make one folder of them with --wrap.',
    })
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

/** @throws P2PError `usage` */
export async function addOptionsFrom({ signal, output, cwd }: Context, flags: ImportFlags): Promise<AddOptions> {
  return { ...(await importOptionsFrom(flags, cwd)), signal, onProgress: output.onProgress }
}

export function sourcesOf(context: Context, paths: string[]): AddSource[] {
  if (paths.includes(STDIN) && context.stdin.isTTY === true) {
    context.output.say('Reading from the terminal; Ctrl-D ends it.')
  }
  return paths.map((path) =>
    path === STDIN ? { name: STDIN, content: context.stdin } : { path: absolute(context, path) },
  )
}

/** Turns the paths of results into what the user gave. */
export function givenPaths(context: Context, paths: string[]): <T extends { path: string }>(entry: T) => T {
  const given = new Map(paths.map((path) => [absolute(context, path), path]))
  return (entry) => ({ ...entry, path: given.get(entry.path) ?? entry.path })
}

function absolute({ cwd }: Context, path: string): string {
  return path === STDIN ? path : resolve(cwd, path)
}

/** What was added, and what was left out. */
export function addedFacts(result: AddResult, { nocopy }: ImportFlags): string[] {
  const lines = leftOut(result)
  if (result.roots.length > 0) {
    const bytes = result.roots.reduce((sum, root) => sum + root.bytes, 0)
    lines.push(`Added ${formatBytes(bytes)}.`)
    if (nocopy === true)
      lines.push('The content was not copied: it can be fetched as long as nobody changes or moves the files.')
  }
  return lines
}

function leftOut({ skippedHidden }: AddResult): string[] {
  if (skippedHidden === 0) return []
  return [`Left out ${skippedHidden} hidden ${skippedHidden === 1 ? 'entry' : 'entries'}; --hidden takes them in.`]
}

function summaryOf(result: AddResult, flags: AddFlags, links: string[]): string[] {
  if (flags.onlyHash === true) return [...leftOut(result), 'Nothing is kept: this was --only-hash.']
  const facts = addedFacts(result, flags)
  if (result.roots.length === 0) return facts
  if (result.servedAt.length === 0) {
    return [...facts, 'Nobody can fetch it from here yet: run "p2p serve" to let others.']
  }
  const more = links.length > MAX_LINKS_SHOWN ? [`and ${links.length - MAX_LINKS_SHOWN} more; --json has all.`] : []
  return [...facts, 'Others can fetch it from the server that runs here:', ...links.slice(0, MAX_LINKS_SHOWN), ...more]
}
