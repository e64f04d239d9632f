/** `repo`: what is in it, and how much it may hold. */

import type { OperationOptions } from '../api/operation.ts'
import type { RepoResult } from '../api/pins.ts'
import type { NodeParts } from '../parts.ts'

/** @throws P2PError as `Api.run` says of it */
export async function repo(
  { repo, blocks, usage, references, pins }: Pick<NodeParts, 'repo' | 'blocks' | 'usage' | 'references' | 'pins'>,
  { signal }: OperationOptions,
): Promise<RepoResult> {
  const stored = await usage.measure(blocks)
  const result: RepoResult = {
    path: repo.location.dataDir,
    version: repo.version,
    ...stored,
    references: 0,
    pins: 0,
    downloads: 0,
    maxBytes: repo.config['store.maxSize'],
  }
  for await (const { kind, blockBytes } of pins.list()) {
    if (kind === 'kept') result.downloads++
    if (kind !== 'kept' || blockBytes !== undefined) result.pins++
  }
  for await (const { places } of references.blocks()) {
    signal?.throwIfAborted()
    if (places.some(({ tree }) => tree.state === 'finished')) result.references++
  }
  return result
}
