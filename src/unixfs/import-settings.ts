/**
 * Everything that decides which CID a file or folder gets: the profiles, and the switches that change one thing in them,
 * under the names and within the bounds that Kubo has.
 * @see https://github.com/ipfs/specs/blob/main/src/ipips/ipip-0499.md
 */

import { P2PError } from '../common/errors.ts'
import { KiB } from '../common/units.ts'
import { digestOf } from '../dag/block.ts'
import { MAX_IDENTITY_BYTES, SHA2_256 } from '../dag/cid.ts'
import { hashNames as allHashNames, hashOf as codeOfHash } from '../dag/hashes.ts'
import { MAX_LINKS } from '../dag/links.ts'
import { type ChunkerSettings, parseChunker } from './chunker.ts'
import { isAllowedFanout, MAX_FANOUT, MIN_FANOUT } from './shard.ts'

export interface ImportSettings {
  cidVersion: 0 | 1
  /** Multihash code. */
  hash: number
  /** Leaves are blocks of nothing but content, not of dag-pb. */
  rawLeaves: boolean
  chunker: ChunkerSettings
  layout: 'balanced' | 'trickle'
  /** Some 45,000 fill the largest block, so that a large file fails with more. */
  maxFileLinks: number
  /** A folder of more entries becomes a HAMT, however small it is; 0 for any number. */
  maxDirectoryLinks: number
  maxHamtFanout: number
  /** How the size of a folder is estimated, which becomes a HAMT above {@link MAX_DIRECTORY_BYTES}. */
  directorySize: 'links' | 'block'
  /** Blocks up to so many bytes go into their CID; undefined for none. */
  inlineLimit?: number | undefined
}

/** What changes a profile; left out, the profile holds. */
export interface ImportSwitches {
  /** The name of a profile. Default `unixfs-v1-2025`. */
  profile?: string | undefined
  cidVersion?: number | undefined
  rawLeaves?: boolean | undefined
  /** As {@link parseChunker} reads it. */
  chunker?: string | undefined
  trickle?: boolean | undefined
  maxFileLinks?: number | undefined
  maxDirectoryLinks?: number | undefined
  maxHamtFanout?: number | undefined
  /** One of {@link hashNames}. Any but `sha2-256` needs CIDs of version 1. */
  hash?: string | undefined
  inline?: boolean | undefined
  /** In bytes, without effect unless `inline`. Default 32. */
  inlineLimit?: number | undefined
}

const DEFAULT_PROFILE = 'unixfs-v1-2025'

const COMMON = {
  hash: SHA2_256,
  layout: 'balanced',
  maxDirectoryLinks: 0,
  maxHamtFanout: 256,
} as const

const PROFILES: Record<string, ImportSettings> = {
  [DEFAULT_PROFILE]: {
    ...COMMON,
    cidVersion: 1,
    rawLeaves: true,
    chunker: { kind: 'size', bytes: 1024 * KiB },
    maxFileLinks: 1024,
    directorySize: 'block',
  },
  'unixfs-v0-2015': {
    ...COMMON,
    cidVersion: 0,
    rawLeaves: false,
    chunker: { kind: 'size', bytes: 256 * KiB },
    maxFileLinks: 174,
    directorySize: 'links',
  },
}

/** A folder above this size becomes a HAMT, in every profile. */
export const MAX_DIRECTORY_BYTES = 256 * KiB

const DEFAULT_INLINE_LIMIT = 32
/** Fewer would make a tree without end. */
const MIN_FILE_LINKS = 2
/** Kubo takes blocks of these, and makes none. */
const READ_ONLY_HASHES = /^(identity|keccak-(224|384)|blake2s-(?!256).*)$/

/** The names that {@link ImportSwitches.hash} may have. */
export function hashNames(): string[] {
  return allHashNames().filter(
    (name) => !READ_ONLY_HASHES.test(name) && digestOf(codeOfHash(name)!, new Uint8Array(0)) !== undefined,
  )
}

/**
 * The settings that a profile and switches make together.
 *
 * @throws P2PError `usage`
 */
export function importSettings(switches: ImportSwitches = {}): ImportSettings {
  const profile = profileOf(switches.profile ?? DEFAULT_PROFILE)
  const settings: ImportSettings = {
    ...profile,
    cidVersion: cidVersionOf(switches.cidVersion) ?? profile.cidVersion,
    rawLeaves: switches.rawLeaves ?? profile.rawLeaves,
    chunker: switches.chunker === undefined ? profile.chunker : parseChunker(switches.chunker),
    layout: switches.trickle === true ? 'trickle' : profile.layout,
    maxFileLinks: within('--max-file-links', switches.maxFileLinks, MIN_FILE_LINKS, MAX_LINKS) ?? profile.maxFileLinks,
    maxDirectoryLinks:
      within('--max-directory-links', switches.maxDirectoryLinks, 0, MAX_LINKS) ?? profile.maxDirectoryLinks,
    maxHamtFanout: fanoutOf(switches.maxHamtFanout) ?? profile.maxHamtFanout,
    hash: switches.hash === undefined ? profile.hash : hashOf(switches.hash),
    inlineLimit: inlineLimitOf(switches),
  }
  if (settings.cidVersion === 0 && settings.hash !== SHA2_256) {
    throw usage(`CIDs of version 0 are of sha2-256, not ${switches.hash}`, 'Use --cid-version 1 with it.')
  }
  return settings
}

function profileOf(name: string): ImportSettings {
  const profile = Object.hasOwn(PROFILES, name) ? PROFILES[name] : undefined
  if (profile !== undefined) return profile
  throw usage(`There is no profile "${name}"`, `The profiles are ${Object.keys(PROFILES).join(' and ')}.`)
}

function cidVersionOf(version: number | undefined): 0 | 1 | undefined {
  if (version === undefined || version === 0 || version === 1) return version
  throw usage(`There are no CIDs of version ${version}`, 'Use 0 or 1.')
}

function fanoutOf(fanout: number | undefined): number | undefined {
  if (fanout === undefined || isAllowedFanout(fanout)) return fanout
  throw usage(
    `--max-hamt-fanout cannot be ${fanout}`,
    `Use a power of two from ${MIN_FANOUT} to ${MAX_FANOUT}, as 256.`,
  )
}

function hashOf(name: string): number {
  if (hashNames().includes(name)) return codeOfHash(name)!
  const usual = hashNames().filter((known) => !known.startsWith('blake2b-'))
  throw usage(
    `There is no hash function "${name}"`,
    `Those that can be used are ${usual.join(', ')}, and blake2b-160 to blake2b-512.`,
  )
}

function inlineLimitOf({ inline, inlineLimit }: ImportSwitches): number | undefined {
  const limit = within('--inline-limit', inlineLimit, 0, MAX_IDENTITY_BYTES) ?? DEFAULT_INLINE_LIMIT
  return inline === true ? limit : undefined
}

function within(flag: string, value: number | undefined, least: number, most: number): number | undefined {
  if (value === undefined || (Number.isInteger(value) && value >= least && value <= most)) return value
  throw usage(`${flag} cannot be ${value}`, `Use a number from ${least} to ${most}.`)
}

function usage(message: string, hint: string): P2PError {
  return new P2PError('usage', message, { hint })
}
