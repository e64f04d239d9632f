/**
 * The user's settings, one row each: its default, what a file may hold, and how it is written on a command line.
 * Read and changed by `config.ts`.
 */

import { editDistance } from '../common/edit-distance.ts'
import { formatRate, parseRate, RATE_HINT } from '../common/rate-text.ts'
import { parseBytes } from '../common/units.ts'

interface Setting<T> {
  default: T
  /** @throws Error whose message completes "<name> …" */
  parse: (value: unknown) => Promise<T>
  /** What a file holds for the words of a command line; checked by `parse`. */
  fromWords: (words: string[]) => unknown
  /** The words for a value. */
  toWords: (value: T) => string[]
}

type Words<T> = Pick<Setting<T>, 'fromWords' | 'toWords'>

/** An empty list. */
const NONE = 'none'

const LIST: Words<string[]> = {
  fromWords: (words) => (words.length === 1 && words[0] === NONE ? [] : words),
  toWords: (value) => (value.length === 0 ? [NONE] : value),
}
/** Bytes, or none. */
const AMOUNT: Words<number | null> = { fromWords: oneWord, toWords: (value) => [formatRate(value)] }
const SWITCH: Words<boolean> = {
  fromWords: (words) => {
    const word = oneWord(words)
    return word === 'true' || (word === 'false' ? false : word)
  },
  toWords: (value) => [String(value)],
}

const NUMBER: Words<number> = {
  fromWords: (words) => {
    const word = oneWord(words)
    return typeof word === 'string' && word.trim() !== '' ? Number(word) : word
  },
  toWords: (value) => [String(value)],
}

const settings = {
  /** Multiaddrs that `p2p serve` and `p2p share` listen on. */
  'addresses.listen': {
    default: ['/ip4/0.0.0.0/tcp/4001', '/ip6/::/tcp/4001'],
    parse: (value) => multiaddrs(value),
    ...LIST,
  },
  /** Multiaddrs told to others in place of those listened on; empty: tell what is listened on. */
  'addresses.announce': {
    default: [],
    parse: (value) => multiaddrs(value),
    ...LIST,
  },
  /** Peers through which the node finds all others. The default is the public list that Kubo ships. */
  bootstrap: {
    default: [
      '/dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN',
      '/dnsaddr/bootstrap.libp2p.io/p2p/QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa',
      '/dnsaddr/bootstrap.libp2p.io/p2p/QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb',
      '/dnsaddr/bootstrap.libp2p.io/p2p/QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt',
    ],
    parse: (value) => multiaddrs(value, { withPeerId: true }),
    ...LIST,
  },
  /** Most bytes a second sent to all peers together; null for no limit. */
  'limits.up': { default: null, parse: rate, ...AMOUNT },
  /** Most bytes a second received from all peers together; null for no limit. */
  'limits.down': { default: null, parse: rate, ...AMOUNT },
  /** Whether peers on this machine and in the local network are held to the limits too. */
  'limits.lan': { default: false, parse: yesOrNo, ...SWITCH },
  /** Whether what downloads left is announced, as what was pinned is. */
  'seed.downloads': { default: true, parse: yesOrNo, ...SWITCH },
  /** Most bytes of block files; null for no limit. */
  'store.maxSize': { default: null, parse: size, ...AMOUNT },
  /** Percent of `store.maxSize` above which garbage is collected, and down to which it is. */
  'store.highWater': { default: 90, parse: percent, ...NUMBER },
  'store.lowWater': { default: 75, parse: percent, ...NUMBER },
} satisfies Record<string, Setting<string[]> | Setting<number | null> | Setting<number> | Setting<boolean>>

export type SettingName = keyof typeof settings

export const SETTING_NAMES = Object.keys(settings) as SettingName[]

/** Every setting by its full name, as in `config['addresses.listen']`. */
export type Config = { [Name in SettingName]: Awaited<ReturnType<(typeof settings)[Name]['parse']>> }

export function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(settings, name)
}

/** The setting that was probably meant. */
export function nearestSetting(name: string): SettingName {
  return SETTING_NAMES.reduce((best, candidate) =>
    editDistance(name, candidate) < editDistance(name, best) ? candidate : best,
  )
}

export function defaultConfig(): Config {
  return Object.fromEntries(SETTING_NAMES.map((name) => [name, settings[name].default])) as Config
}

/** The value of a setting, from what a file holds. @throws Error whose message completes "<name> …" */
export async function parseSetting<Name extends SettingName>(name: Name, value: unknown): Promise<Config[Name]> {
  return (await settings[name].parse(value)) as Config[Name]
}

/** @throws Error if settings that are allowed each for itself do not go together */
export function assertConsistent(config: Config): void {
  const { 'store.highWater': high, 'store.lowWater': low } = config
  if (low > high) throw new Error(`store.lowWater (${low}) must not be above store.highWater (${high})`)
}

/** What a file would hold for the words of a command line. */
export function fromWords(name: SettingName, words: string[]): unknown {
  return settings[name].fromWords(words)
}

/** A value in words that {@link fromWords} takes. */
export function toWords<Name extends SettingName>(name: Name, value: Config[Name]): string[] {
  return (settings[name].toWords as (value: Config[Name]) => string[])(value)
}

async function multiaddrs(value: unknown, { withPeerId = false } = {}): Promise<string[]> {
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
    throw new Error('must be a list of multiaddrs, as in ["/ip4/0.0.0.0/tcp/4001"]')
  }
  // Loaded here because most repos have no settings of their own.
  const { multiaddr } = await import('@multiformats/multiaddr')
  for (const text of value) {
    let hasPeerId: boolean
    try {
      hasPeerId = multiaddr(text)
        .getComponents()
        .some(({ name }) => name === 'p2p')
    } catch (cause) {
      throw new Error(`holds "${text}", which is not a multiaddr`, { cause })
    }
    if (withPeerId && !hasPeerId) throw new Error(`holds "${text}", which does not end in /p2p/<peer id>`)
  }
  return value
}

async function rate(value: unknown): Promise<number | null> {
  const parsed = typeof value === 'string' ? parseRate(value) : undefined
  if (parsed === undefined) throw new Error(`must be a rate, as "10MiB". ${RATE_HINT}`)
  return parsed
}

async function size(value: unknown): Promise<number | null> {
  if (value === 'none') return null
  const parsed = typeof value === 'string' ? parseBytes(value) : undefined
  if (parsed === undefined) throw new Error('must be a size in KiB, MiB, GiB or TiB, as "10GiB", or "none"')
  return parsed
}

async function percent(value: unknown): Promise<number> {
  if (typeof value !== 'number' || !(value >= 1 && value <= 100)) throw new Error('must be a number from 1 to 100')
  return value
}

async function yesOrNo(value: unknown): Promise<boolean> {
  if (typeof value !== 'boolean') throw new Error('must be true or false')
  return value
}

/** What takes one word refuses another number of them, as it refuses a list. */
function oneWord(words: string[]): unknown {
  return words.length === 1 ? words[0] : words
}
