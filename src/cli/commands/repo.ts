/** `p2p repo`: what is in the repo, and how much. */

import { counted, formatBytes } from '../../common/units.ts'
import { type Context, runOperation } from '../context.ts'
import type { HoldFlags } from '../flags.ts'
import type { Outcome } from '../outcome.ts'

/** @throws P2PError as `repo` of `Api.run` does */
export async function repo(context: Context, { timeout }: HoldFlags): Promise<Outcome> {
  const result = await runOperation(
    context,
    { command: 'p2p repo', holdTimeoutMs: timeout, repoMustExist: true },
    'repo',
    {},
  )
  const { path, version, blocks, bytes, references, pins, downloads, maxBytes } = result
  const facts: [string, string][] = [
    ['path', path],
    ['version', version],
    ['blocks', `${blocks}, ${formatBytes(bytes)} (${bytes} bytes)`],
    ['in files', `${counted(references, 'block')} in your files`],
    ['pins', String(pins)],
    ['downloads', `${downloads} that are kept until their space is needed`],
    ['limit', maxBytes === null ? 'none' : formatBytes(maxBytes)],
  ]
  for (const [name, text] of facts) context.output.resultLine(`${name.padEnd(10)} ${text}`)
  return { result: { ...result }, summary: [] }
}
