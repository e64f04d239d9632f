/** Nodes with a repo of their own, and what tests of it ask them. */

import '../../src/common/node20.ts'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { VerifiedProblem } from '../../src/node/api/pins.ts'
import { type Node, openNode } from '../../src/node/open.ts'
import { resolveLocation } from '../../src/repo/location.ts'
import { type CleanUpScope, cleanUpAfter } from './clean-up.ts'
import { makeTempDir } from './temp.ts'

export interface MadeNode {
  node: Node
  folder: string
  warnings: string[]
}

export async function makeNode(scope: CleanUpScope, { serves = false, config = {} } = {}): Promise<MadeNode> {
  const folder = await makeTempDir(scope)
  await mkdir(join(folder, 'repo'), { mode: 0o700 })
  await writeFile(join(folder, 'repo', 'config.json'), JSON.stringify(config))
  const warnings: string[] = []
  const node = await openNode({
    location: resolveLocation({ repo: join(folder, 'repo'), env: {}, home: folder, cwd: folder }),
    command: 'p2p test',
    holdTimeoutMs: 0,
    role: serves ? 'server' : 'client',
    listen: serves ? ['/ip4/127.0.0.1/tcp/0'] : [],
    bootstrap: [],
    onProgress: (event) => {
      if (event.type === 'warning') warnings.push(event.message)
    },
  })
  cleanUpAfter(scope, () => node.close())
  if (serves) await node.startNetwork()
  return { node, folder, warnings }
}

export async function addFolder({ node, folder }: MadeNode, files: Record<string, Uint8Array>): Promise<string> {
  const source = join(folder, 'source')
  await mkdir(source)
  for (const [name, content] of Object.entries(files)) await writeFile(join(source, name), content)
  const { roots } = await node.add([{ path: source }])
  return roots[0]!.cid
}

export async function verified(node: Node, options: { repair?: boolean; peers?: string[]; offline?: boolean } = {}) {
  const problems: VerifiedProblem[] = []
  const result = await node.run('verify', { ...options, onEvent: (problem) => void problems.push(problem) })
  return { problems, result }
}
