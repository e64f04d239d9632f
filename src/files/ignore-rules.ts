/**
 * What `add` leaves out at the user's wish, by the rules of gitignore: later patterns win, `!` takes in again, a pattern
 * with a slash counts from the folder that is added, and case counts. Used by `node/operations/add.ts`.
 * @see https://git-scm.com/docs/gitignore
 */

import { readFile } from 'node:fs/promises'
import ignore from 'ignore'
import { errnoOf, localIoError, P2PError } from '../common/errors.ts'
import type { TreeOptions } from './tree.ts'

export interface IgnoreRules {
  /** In the order in which they are given; those of files come before. */
  patterns?: string[] | undefined
  /** Absolute paths of files with a pattern a line. */
  files?: string[] | undefined
}

/**
 * A function that tells what is to be left out, or undefined where there are no rules.
 *
 * @throws P2PError `not-found`, `io` for a file that cannot be read
 */
export async function readIgnoreRules({ patterns = [], files = [] }: IgnoreRules): Promise<TreeOptions['isIgnored']> {
  if (patterns.length + files.length === 0) return undefined
  const rules = ignore({ ignorecase: false })
  for (const file of files) rules.add(await readRules(file))
  rules.add(patterns)
  return (relativePath, isFolder) => rules.ignores(isFolder ? `${relativePath}/` : relativePath)
}

async function readRules(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw localIoError(error, 'read', path)
    throw new P2PError('not-found', `There is no file of ignore rules at ${path}`, { cause: error })
  }
}
