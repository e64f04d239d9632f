/**
 * What people paste to name content: a CID, `CID/path`, `/ipfs/CID/path`, an `ipfs://` link, or the URL of a gateway.
 * Links and URLs are percent-decoded; the other forms are taken as they are. Called by the command line, to refuse a
 * bad reference before anything is opened, and by the operations that fetch.
 *
 * @see https://specs.ipfs.tech/http-gateways/path-gateway/
 * @see https://specs.ipfs.tech/http-gateways/subdomain-gateway/
 * @see https://github.com/ipfs/specs/pull/504 for `provider`
 */

import { multiaddr } from '@multiformats/multiaddr'
import { base58btc } from 'multiformats/bases/base58'
import type { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { P2PError } from '../common/errors.ts'
import { assertAllowedCid } from './block.ts'
import { IDENTITY_HASH, parseCid, SHA2_256 } from './cid.ts'

export interface Ref {
  cid: CID
  /** Names from the root down; none is empty, `.` or `..`, or holds a slash or NUL. */
  path: string[]
  /** The name that a link proposes, exactly as it stands there: not safe to use on a disk as it is. */
  filename?: string | undefined
  /** Multiaddrs of peers that are said to have it, each ending in `/p2p/<peer id>`. */
  providers: string[]
  /** What a link gives as providers and is no address of a peer; shortened, for messages. */
  unusableProviders: string[]
}

/** The deepest path that is followed. */
const MAX_PATH_SEGMENTS = 256
/** Links carry a few addresses; whatever is longer is not a link. */
const MAX_REF_CHARACTERS = 64 * 1024
/** Hints beyond this are ignored: a link must not make us dial without end. */
const MAX_PROVIDERS = 32

const URL_FORM = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?/i
const SUBDOMAIN_HOST = /^([^.]+)\.(ipfs|ipns)\./i

/**
 * @throws P2PError `bad-ref`, with a hint for what is probably meant
 */
export function parseRef(text: string): Ref {
  if (text.length > MAX_REF_CHARACTERS) throw new P2PError('bad-ref', 'The reference is too long to be one')
  const url = URL_FORM.exec(text)
  if (url !== null) {
    const [, scheme = '', host = '', path = '', query = ''] = url
    return parseUrl(text, scheme.toLowerCase(), host, path, query)
  }
  if (text.startsWith('/')) {
    const [root = '', ...path] = belowNamespace(text, namesIn(text))
    return makeRef(root, path)
  }
  const [root = '', ...path] = namesIn(`/${text}`)
  return makeRef(root, path)
}

/**
 * The multiaddr of a peer, in its usual spelling.
 *
 * @throws P2PError `bad-ref` unless it ends in `/p2p/<peer id>`
 */
export function parsePeerAddress(text: string): string {
  const address = peerAddressOf(text)
  if (address !== undefined) return address
  throw new P2PError('bad-ref', `"${shorten(text)}" is not the address of a peer`, {
    hint: 'It looks like /ip4/192.0.2.1/tcp/4001/p2p/12D3Koo…; "p2p serve" prints those of a node.',
  })
}

/** A peer and where it may be reached. */
export interface PeerAddresses {
  peerId: string
  multiaddrs: string[]
}

/**
 * Addresses gathered by the peer that they lead to, in the order in which the peers are first named.
 *
 * @throws P2PError `bad-ref` for one that is not the address of a peer
 */
export function sourcesOf(multiaddrs: string[]): PeerAddresses[] {
  const sources = new Map<string, PeerAddresses>()
  for (const address of multiaddrs.map(parsePeerAddress)) {
    const peerId = address.slice(address.lastIndexOf('/') + 1)
    const source = sources.get(peerId) ?? { peerId, multiaddrs: [] }
    if (!source.multiaddrs.includes(address)) source.multiaddrs.push(address)
    sources.set(peerId, source)
  }
  return [...sources.values()]
}

function peerAddressOf(text: string): string | undefined {
  try {
    const address = multiaddr(text)
    const last = address.getComponents().at(-1)
    const isPeer = last?.name === 'p2p' && last.value !== undefined && isPeerId(last.value)
    return isPeer ? address.toString() : undefined
  } catch {
    return undefined
  }
}

/**
 * True for the base58 text of a peer id; a cut-off one is not.
 * @see https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md
 */
function isPeerId(text: string): boolean {
  const { code, digest } = Digest.decode(base58btc.decode(`z${text}`))
  if (code === IDENTITY_HASH) return digest.byteLength >= 36 && digest.byteLength <= 42
  return code === SHA2_256 && digest.byteLength === 32
}

function parseUrl(text: string, scheme: string, host: string, path: string, query: string): Ref {
  const names = namesIn(path).map(decodeName)
  const parameters = new URLSearchParams(query)
  if (scheme === 'ipfs') {
    // `ipfs://ipfs/CID` is an old spelling that is still pasted.
    const [root = '', ...rest] = host.toLowerCase() === 'ipfs' ? names : [host, ...names]
    return makeRef(root, rest, parameters)
  }
  if (scheme === 'ipns') throw mutableName(text)
  if (scheme !== 'http' && scheme !== 'https') {
    throw new P2PError('bad-ref', `Links that start with "${scheme}://" cannot be fetched`, {
      hint: 'Give a CID, CID/path, ipfs://CID or the URL of an IPFS gateway.',
    })
  }
  const hostname = host.slice(host.lastIndexOf('@') + 1)
  const subdomain = SUBDOMAIN_HOST.exec(hostname)
  if (subdomain !== null) {
    const [, label = '', namespace = ''] = subdomain
    if (namespace.toLowerCase() === 'ipns') throw mutableName(text)
    return makeRef(label.toLowerCase(), names, parameters)
  }
  const [root = '', ...rest] = belowNamespace(text, names)
  return makeRef(root, rest, parameters)
}

/** What follows `/ipfs/`. */
function belowNamespace(text: string, names: string[]): string[] {
  if (names[0] === 'ipfs') return names.slice(1)
  if (names[0] === 'ipns') throw mutableName(text)
  throw new P2PError('bad-ref', `"${shorten(text)}" holds no CID`, {
    hint: 'Give a CID, CID/path, /ipfs/CID, ipfs://CID, or a gateway URL: https://example.net/ipfs/CID.',
  })
}

function makeRef(root: string, path: string[], parameters?: URLSearchParams): Ref {
  const cid = parseRoot(root)
  assertAllowedCid(cid)
  if (path.length > MAX_PATH_SEGMENTS) throw new P2PError('bad-ref', `The path has over ${MAX_PATH_SEGMENTS} names`)
  for (const name of path) assertName(name)
  const filename = parameters?.get('filename') ?? undefined
  return { cid, path, filename, ...readProviders(parameters?.getAll('provider') ?? []) }
}

function readProviders(hints: string[]): Pick<Ref, 'providers' | 'unusableProviders'> {
  const providers = new Set<string>()
  const unusable = new Set<string>()
  for (const hint of hints) {
    const address = peerAddressOf(hint)
    if (address !== undefined) providers.add(address)
    else unusable.add(shorten(hint))
  }
  return {
    providers: [...providers].slice(0, MAX_PROVIDERS),
    unusableProviders: [...unusable].slice(0, MAX_PROVIDERS),
  }
}

function parseRoot(root: string): CID {
  try {
    return parseCid(root)
  } catch (error) {
    const hint = lengthHint(root)
    if (hint === undefined || !(error instanceof P2PError)) throw error
    throw new P2PError(error.code, error.message, { hint, cause: error.cause })
  }
}

/** Nearly every CID is SHA-256, and those have one length; a cut-off one is the usual mistake. */
function lengthHint(root: string): string | undefined {
  const expected = /^(bafybei|bafkrei)/.test(root) ? 59 : /^Qm/.test(root) ? 46 : undefined
  if (expected === undefined || root.length === expected) return undefined
  return `It has ${root.length} characters where a CID of this kind has ${expected}: check that it was copied whole.`
}

/** The names in an absolute path. One slash at the end is what browsers add to a folder, and says nothing. */
function namesIn(path: string): string[] {
  const names = path.split('/').slice(1)
  return names.at(-1) === '' ? names.slice(0, -1) : names
}

function decodeName(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch (cause) {
    throw new P2PError('bad-ref', `"${shorten(segment)}" in the link is not valid percent-encoding`, {
      hint: 'A percent sign itself is written %25.',
      cause,
    })
  }
}

function assertName(name: string): void {
  if (name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name)) return
  throw new P2PError('bad-ref', `A path cannot hold the name "${shorten(name)}"`, {
    hint: 'Write the path from the CID down, with one slash between names.',
  })
}

function mutableName(text: string): P2PError {
  return new P2PError('bad-ref', `"${shorten(text)}" is a name that may change, not content`, {
    hint: 'IPNS names are not supported: ask for the CID that it stands for.',
  })
}

function shorten(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 60)}…${text.slice(-12)}`
}
