/**
 * What a command gets: streams, environment, flags, the signal that ends it, and a way to open the node. Everything
 * that costs start-up time is imported when a command asks for it.
 */

import { tmpdir } from 'node:os'
import { endsWithin } from '../common/ends-within.ts'
import { messageOf } from '../common/errors.ts'
import { SECOND_MS } from '../common/units.ts'
import type { Api, OperationName, OptionsOf, ResultOf } from '../node/api.ts'
import type { SharedApiOptions } from '../rpc/shared-api.ts'
import { type GlobalFlags, type LimitFlags, limitsFrom } from './flags.ts'
import type { Output } from './render.ts'
import type { OutputStream } from './terminal-progress.ts'
import { readVersion } from './version.ts'

/** The process, as far as commands see it. */
interface Surroundings {
  stdin: AsyncIterable<Uint8Array> & { isTTY?: boolean }
  stdout: OutputStream
  stderr: OutputStream
  env: Readonly<Record<string, string | undefined>>
  cwd: string
  home: string
  /** Undefined where the system has no such numbers. */
  userId: number | undefined
  /** Aborts when the user ends the process, or stdout is gone. */
  signal: AbortSignal
}

export interface Context extends Surroundings {
  flags: GlobalFlags
  output: Output
}

/** How long a command waits for a holder of the repo that does not answer, unless `--timeout` says otherwise. */
const DEFAULT_HOLD_TIMEOUT_MS = 30 * SECOND_MS

/** What is durable has been made so before; a node that cannot close must not keep the user waiting. */
const CLOSE_TIMEOUT_MS = 8 * SECOND_MS

export interface NodeNeeds {
  /** The command as others read it who find the repo held: `p2p add`. */
  command: string
  holdTimeoutMs?: number | undefined
  /** Look at the repo that is there, in place of making one: where it is not mounted all would seem well. Default false. */
  repoMustExist?: boolean | undefined
  limits?: LimitFlags | undefined
  /** Where to listen, by the bootstrap peers that flag or environment name. Default: nowhere. */
  listen?: ((bootstrap: string[] | undefined) => string[]) | undefined
  /** Give blocks to others who ask. Default true. */
  seed?: boolean | undefined
}

/** The options of a node that come from global flags and the environment. */
export async function nodeOptionsFor(context: Context, needs: NodeNeeds): Promise<SharedApiOptions> {
  const { flags, env, home, cwd, userId, signal, output } = context
  const { resolveLocation } = await import('../repo/location.ts')
  return {
    location: resolveLocation({ repo: flags.repo, env, home, cwd }),
    places: { userId, runtimeDir: env.XDG_RUNTIME_DIR || undefined, tempDir: tmpdir() },
    command: needs.command,
    version: readVersion(),
    holdTimeoutMs: needs.holdTimeoutMs ?? DEFAULT_HOLD_TIMEOUT_MS,
    repoMustExist: needs.repoMustExist,
    bootstrap: await bootstrapOf(context),
    limits: limitsFrom(needs.limits ?? {}, env),
    signal,
    onProgress: output.onProgress,
  }
}

/** Hands a node to `use`, which goes through whoever holds the repo, or else holds it here. Lets go of it whatever happens. */
export async function withNode<T>(context: Context, needs: NodeNeeds, use: (node: Api) => Promise<T>): Promise<T> {
  const options = await nodeOptionsFor(context, needs)
  const { SharedApi } = await import('../rpc/shared-api.ts')
  const node = new SharedApi({ ...options, listen: needs.listen?.(options.bootstrap) ?? [], seed: needs.seed })
  try {
    return await use(node)
  } finally {
    await endsWithin(node.close(), CLOSE_TIMEOUT_MS).catch((error) => {
      context.output.warn(`The repo did not close cleanly: ${messageOf(error)}`)
    })
  }
}

/** Runs one operation of the table (`node/operations.ts`); the user's signal ends it, and its progress is shown. */
export async function runOperation<Name extends OperationName>(
  context: Context,
  needs: NodeNeeds,
  name: Name,
  options: OptionsOf<Name>,
): Promise<ResultOf<Name>> {
  const { signal, output } = context
  return await withNode(context, needs, (node) => node.run(name, { ...options, signal, onProgress: output.onProgress }))
}

async function bootstrapOf({ flags, env }: Context): Promise<string[] | undefined> {
  if (flags.bootstrap === undefined && env.P2P_BOOTSTRAP === undefined) return undefined
  // What parses addresses takes longer to load than a small command may take.
  if ((flags.bootstrap?.join() ?? env.P2P_BOOTSTRAP) === 'none') return []
  const { bootstrapPeers } = await import('./addresses.ts')
  return bootstrapPeers(flags.bootstrap, env.P2P_BOOTSTRAP)
}
