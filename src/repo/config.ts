/**
 * The user's settings: `config.json`, nested, every key optional. Only ever read here; a file that cannot be understood
 * is refused, never rewritten. A setting is one row of `settings`.
 */

import { readFile } from 'node:fs/promises'
import { editDistance } from '../common/edit-distance.ts'
import { errnoOf, localIoError, messageOf, P2PError } from '../common/errors.ts'
import { parseRate, RATE_HINT } from '../common/rate-text.ts'
import { parseBytes } from '../common/units.ts'

interface Setting<T> {
  default: T
  /** @throws Error whose message completes "<name> …" */
  parse: (value: unknown) => Promise<T>
}

const settings = {
  /** Multiaddrs that `p2p serve` and `p2p share` listen on. */
  'addresses.listen': {
    default: ['/ip4/0.0.0.0/tcp/4001', '/ip6/::/tcp/4001'],
    parse: (value) => multiaddrs(value),
  },
  /** Multiaddrs told to others in place of those listened on; empty: tell what is listened on. */
  'addresses.announce': {
    default: [],
    parse: (value) => multiaddrs(value),
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
  },
  /** Most bytes a second sent to all peers together; null for no limit. */
  'limits.up': { default: null, parse: rate },
  /** Most bytes a second received from all peers together; null for no limit. */
  'limits.down': { default: null, parse: rate },
  /** Whether peers on this machine and in the local network are held to the limits too. */
  'limits.lan': { default: false, parse: yesOrNo },
  /** Whether what downloads left is announced, as what was pinned is. */
  'seed.downloads': { default: true, parse: yesOrNo },
  /** Most bytes of block files; null for no limit. */
  'store.maxSize': { default: null, parse: size },
  /** Percent of `store.maxSize` above which garbage is collected, and down to which it is. */
  'store.highWater': { default: 90, parse: percent },
  'store.lowWater': { default: 75, parse: percent },
} satisfies Record<string, Setting<string[] | (number | null) | number | boolean>>

type SettingName = keyof typeof settings

/** Every setting by its full name, as in `config['addresses.listen']`. */
export type Config = { [Name in SettingName]: Awaited<ReturnType<(typeof settings)[Name]['parse']>> }

/**
 * The settings in `file`, and the defaults for those that it leaves out or if it does not exist.
 *
 * @throws P2PError `bad-config`, naming the file and the setting; `io`
 */
export async function loadConfig(file: string): Promise<Config> {
  const names = Object.keys(settings) as SettingName[]
  const config = Object.fromEntries(names.map((name) => [name, settings[name].default])) as Config
  const refuse = (reason: string, options: { hint?: string; cause?: unknown } = {}) =>
    new P2PError('bad-config', `${file}: ${reason}`, options)

  const apply = async (value: unknown, name: string): Promise<void> => {
    if (isSettingName(name)) {
      try {
        Object.assign(config, { [name]: await settings[name].parse(value) })
      } catch (cause) {
        throw refuse(`${name} ${messageOf(cause)}`, { cause })
      }
      return
    }
    const isSection = name === '' || names.some((known) => known.startsWith(`${name}.`))
    if (!isSection) {
      throw refuse(`"${name}" is not a setting`, { hint: `The nearest one is "${nearest(name, names)}".` })
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw refuse(`${name === '' ? 'the file' : name} must be an object, as in { … }`)
    }
    for (const [key, inner] of Object.entries(value)) await apply(inner, name === '' ? key : `${name}.${key}`)
  }

  const text = await readIfThere(file)
  if (text === undefined) return config
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (cause) {
    throw refuse(`not valid JSON: ${messageOf(cause)}`, {
      hint: 'Correct the file, or remove it to use the defaults.',
      cause,
    })
  }
  await apply(parsed, '')
  return config
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw localIoError(error, 'read', file)
  }
}

function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(settings, name)
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
  if (parsed === undefined) throw new Error('must be a size, as "10GiB", or "none"')
  return parsed
}

async function percent(value: unknown): Promise<number> {
  if (typeof value !== 'number' || !(value > 0 && value <= 100)) throw new Error('must be a number from 1 to 100')
  return value
}

async function yesOrNo(value: unknown): Promise<boolean> {
  if (typeof value !== 'boolean') throw new Error('must be true or false')
  return value
}

function nearest(name: string, names: string[]): string {
  return names.reduce((best, candidate) =>
    editDistance(name, candidate) < editDistance(name, best) ? candidate : best,
  )
}
