/**
 * A real Helia node on 127.0.0.1, for test/support/helia.ts, which starts it with the Node.js of this folder. It
 * dials the peers it is told and nobody else, keeps its blocks in memory, and is driven over its pipes: one JSON
 * object a line. Requests on stdin, each with an `id`; on stdout first `{ peerId, multiaddr }`, then for each request
 * `{ id, … }` or `{ id, error }`. It ends when stdin does.
 *
 *   { id, command: 'add', path }                            -> { id, cid }
 *   { id, command: 'get', cid, peers, output, timeoutMs }   -> { id }
 */

import { createReadStream, createWriteStream } from 'node:fs'
import { lstat, mkdir, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import { pipeline } from 'node:stream/promises'
import { withBitswap } from '@helia/bitswap'
import { withLibp2pLight } from '@helia/libp2p'
import { unixfs } from '@helia/unixfs'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createHeliaLight } from 'helia'
import { CID } from 'multiformats/cid'

const helia = withBitswap(
  withLibp2pLight(createHeliaLight(), {
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    connectionGater: { denyDialMultiaddr: (address) => !address.toString().startsWith('/ip4/127.0.0.1/') },
    transports: [tcp()],
    connectionEncrypters: [noise(), tls()],
    streamMuxers: [yamux()],
    services: { identify: identify() },
  }),
)

/** What `path` holds, each folder before its content, with paths that start with the name of the top. */
async function* entriesOf(path, name = basename(path)) {
  const stat = await lstat(path)
  if (stat.isFile()) {
    yield { path: name, content: createReadStream(path) }
  } else if (stat.isDirectory()) {
    yield { path: name }
    for (const child of await readdir(path)) yield* entriesOf(join(path, child), `${name}/${child}`)
  } else {
    throw new Error(`${path} is neither a file nor a folder`)
  }
}

async function add({ path }) {
  let root
  // The profile alone does not do: @helia/unixfs lays options of its own below it, which here say the same.
  for await (const entry of unixfs(helia).addAll(entriesOf(path), { profile: 'unixfs-v1-2025' })) root = entry
  return { cid: root.cid.toString() }
}

/** Writes the file or folder `cid` to `output`. */
async function write(files, cid, output, options) {
  const { type } = await files.stat(cid, options)
  if (type !== 'directory') {
    await pipeline(files.cat(cid, options), createWriteStream(output))
    return
  }
  await mkdir(output)
  for await (const entry of files.ls(cid, options)) await write(files, entry.cid, join(output, entry.name), options)
}

async function get({ cid, peers, output, timeoutMs }) {
  const options = { signal: AbortSignal.timeout(timeoutMs) }
  const root = CID.parse(cid)
  const connections = await Promise.all(peers.map((peer) => helia.libp2p.dial(multiaddr(peer), options)))
  const providers = connections.map(({ remotePeer }) => remotePeer.toCID())
  const session = helia.blockstore.createSession(root, { ...options, providers, maxProviders: providers.length })
  try {
    await write(unixfs({ blockstore: session }), root, output, options)
  } finally {
    session.close()
  }
  return {}
}

const commands = { add, get }

function send(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

await helia.start()
send({ peerId: helia.libp2p.peerId.toString(), multiaddr: helia.libp2p.getMultiaddrs()[0].toString() })
for await (const line of createInterface({ input: process.stdin })) {
  const { id, command, ...request } = JSON.parse(line)
  try {
    send({ id, ...(await commands[command](request)) })
  } catch (error) {
    send({ id, error: error.stack ?? String(error) })
  }
}
await helia.stop()
