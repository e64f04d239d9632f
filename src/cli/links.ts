/** Links to what was added, for those who are to fetch it. Used by `p2p share`, and by `p2p add` beside a server. */

import { basename } from 'node:path'
import { formatLink } from '../dag/link.ts'
import type { AddedRoot } from '../node/api.ts'

/**
 * The link to a root.
 *
 * @param root - with the absolute path that it was added from, or the name of a stream, which is no file name
 * @param providers - addresses at which others can dial the node that serves it, best first
 */
export function linkTo({ cid, path }: AddedRoot, providers: readonly string[]): string {
  const filename = path.startsWith('/') ? basename(path) || undefined : undefined
  return formatLink({ cid, filename, providers })
}
