/**
 * What a caller was told about the network, compared with what the holder does there: there is one network for both, and
 * the caller is told what of its own has no effect. Used by `server.ts`.
 */

import { formatBytes } from '../common/units.ts'
import type { NetworkSettings } from '../node/network-settings.ts'

export interface NetworkWishes {
  /** Multiaddrs to dial at start; undefined: those of the settings. */
  bootstrap?: string[] | undefined
  /** Give blocks to others who ask; undefined if it does not matter. */
  seed?: boolean | undefined
  /** Bytes a second that are sent; null for no limit, undefined for what there is. */
  limitUp?: number | null | undefined
  /** The same of what is received. */
  limitDown?: number | null | undefined
  /** Whether peers nearby are held to the limits; undefined for what there is. */
  limitLan?: boolean | undefined
}

/** A warning for each wish that the holder does not fulfil. */
export function unmetWishes(wishes: NetworkWishes, network: NetworkSettings): string[] {
  const { listen, limits } = network
  const facts = [
    ...bootstrapFacts(wishes, network),
    ...(wishes.seed === true && !network.seed ? ['gives nothing to others, nor does this download meanwhile'] : []),
    ...(wishes.seed === true && network.seed && listen.length === 0
      ? ['takes no connections, so that others cannot come and fetch from this download meanwhile']
      : []),
    ...(wishes.seed === false && network.seed ? ['gives others what they ask for; --no-seed has no effect'] : []),
    ...limitFacts('--limit-up', wishes.limitUp, limits.up),
    ...limitFacts('--limit-down', wishes.limitDown, limits.down),
    ...(wishes.limitLan !== undefined && wishes.limitLan !== limits.lan
      ? [`${limits.lan ? 'holds' : 'does not hold'} peers nearby to its limits; --limit-lan has no effect`]
      : []),
  ]
  return facts.map((fact) => `The command that holds the repo ${fact}. Give it the same, or run this one after it.`)
}

function bootstrapFacts({ bootstrap }: NetworkWishes, network: NetworkSettings): string[] {
  if (sameMembers(bootstrap ?? network.defaultBootstrap, network.bootstrap)) return []
  const unused = bootstrap === undefined ? 'of the settings' : 'given here'
  return [`has its own bootstrap peers (${network.bootstrap.join(', ') || 'none'}); those ${unused} have no effect`]
}

function limitFacts(flag: string, wanted: number | null | undefined, used: number | null): string[] {
  if (wanted === undefined || wanted === used) return []
  const limit = used === null ? 'has no such limit' : `has its own limit, ${formatBytes(used)}/s`
  return [`${limit}; ${flag} has no effect`]
}

function sameMembers(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((one) => others.includes(one))
}
