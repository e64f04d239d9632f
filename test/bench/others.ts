/** Other ways to do what `p2p get` does, which the bench sets beside it. */

import { execFile } from 'node:child_process'
import { mkdir, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { sleep } from '../../src/common/abort.ts'
import { MINUTE_MS, SECOND_MS } from '../../src/common/units.ts'
import { type CleanUpScope, cleanUpAfter, type OpenScope, openScope } from '../support/clean-up.ts'
import { noHelia, startHelia } from '../support/helia.ts'
import { noKubo, startKubo } from '../support/kubo.ts'
import { findFreePort, type ProxyOptions, startProxy, type TcpProxy } from '../support/proxy.ts'
import type { Bench } from './bar.ts'
import type { Content } from './content.ts'
import { assertThroughLinks } from './download.ts'
import type { Target } from './figures.ts'
import { type Command, type Contender, type RunningCommand, startCommand, timeCommand } from './measure.ts'
import { countBytes } from './seeders.ts'

const run = promisify(execFile)

/** Many small files take others minutes. */
const NODE_LIMIT_MS = 15 * MINUTE_MS

/** An other way, or why it does not take part. */
export type Other = Contender | string

/** Those that take part, with what ours has to reach beside them; for the rest the reasons are noted. */
export async function present(
  { note }: Bench,
  others: { other: Promise<Other>; target?: Target }[],
): Promise<Contender[]> {
  const contenders: Contender[] = []
  for (const { other: pending, target } of others) {
    const other = await pending
    if (typeof other === 'string') note(`skipped: ${other}`)
    else contenders.push({ ...other, target })
  }
  return contenders
}

/** A libp2p stream with nothing around it; `bare-stream.ts` says what it does. */
export async function bareStream({ scope, folder }: Bench, file: Content): Promise<Contender> {
  const program = fileURLToPath(new URL('bare-stream.js', import.meta.url))
  const copy = join(folder, 'bare-stream-copy')
  const sender = startInBackground(scope, { command: process.execPath, args: [program, 'send', file.path] })
  const address = await Promise.race([firstLine(sender.process.stdout!), sender.finished.then(() => '')])
  return {
    name: 'bare libp2p stream',
    run: () => timeCommand({ command: process.execPath, args: [program, 'receive', address, copy] }),
    tidy: () => checkAndRemove(copy, file),
  }
}

/** A file over TCP, unencrypted, hashed on its way. */
export async function socat({ scope, folder }: Bench, file: Content): Promise<Other> {
  if (!(await runs('socat', ['-V']))) return 'socat: it is not installed'
  const copy = join(folder, 'socat-copy')
  const port = await findFreePort()
  const args = ['-U', '-b', '262144', listenOn(port), `OPEN:${file.path},rdonly`]
  startInBackground(scope, { command: 'socat', args })
  await untilListening(port)
  const receiver = 'set -e; socat -u -b 262144 "TCP:127.0.0.1:$1" - | tee "$2" | sha256sum'
  return {
    name: 'socat, sha256sum',
    run: () => timeCommand({ command: 'sh', args: ['-c', receiver, 'sh', String(port), copy] }),
    tidy: () => checkAndRemove(copy, file),
  }
}

/** A folder over TCP, unencrypted, not hashed. */
export async function tarOverSocat({ scope, folder }: Bench, tree: Content): Promise<Other> {
  if (!(await runs('socat', ['-V'])) || !(await runs('tar', ['--version']))) return 'tar over socat: not installed'
  const copy = join(folder, 'tar-copy')
  const port = await findFreePort()
  const args = ['-U', '-b', '262144', listenOn(port), `EXEC:tar -C ${tree.path} -cf - .`]
  startInBackground(scope, { command: 'socat', args })
  await untilListening(port)
  const receiver = 'set -e; socat -u -b 262144 "TCP:127.0.0.1:$1" - | tar -C "$2" -xf -'
  return {
    name: 'tar over socat',
    prepare: async () => {
      await mkdir(copy)
    },
    run: () => timeCommand({ command: 'sh', args: ['-c', receiver, 'sh', String(port), copy] }),
    tidy: () => checkAndRemove(copy, tree),
  }
}

/** Kubo to Kubo. */
export async function kubo(bench: Bench, content: Content, links?: ProxyOptions[]): Promise<Other> {
  const start: StartNode = (scope, announce) => startKubo(scope, { commandLimitMs: NODE_LIMIT_MS, announce })
  return (await noKubo()) || (await betweenNodes('Kubo', start, bench, content, links))
}

/** Helia to Helia. */
export async function helia(bench: Bench, content: Content, links?: ProxyOptions[]): Promise<Other> {
  // It tells nobody of others, so that its own address leads nobody past the link.
  const start: StartNode = (scope) => startHelia(scope, { requestLimitMs: NODE_LIMIT_MS })
  return noHelia || (await betweenNodes('Helia', start, bench, content, links))
}

interface IpfsNode {
  peerId: string
  multiaddr: string
  port: number
  add(path: string): Promise<string>
  get(cid: string, peers: string[], output: string): Promise<void>
}

/** @param announce - the only addresses that others are told, if there are any */
type StartNode = (scope: CleanUpScope, announce?: string[]) => Promise<IpfsNode>

/**
 * Nodes of the same kind, all up before the clock starts; it stops when the copy is there. One seeder, or one behind each
 * of the links. The receiver is a new one in every run, for it keeps what it has fetched.
 */
async function betweenNodes(
  name: string,
  start: StartNode,
  { scope, folder }: Bench,
  content: Content,
  links: ProxyOptions[] = [],
): Promise<Contender> {
  const proxies: { proxy: TcpProxy }[] = []
  const peers: string[] = []
  let cid = ''
  for (const link of links.length > 0 ? links : [undefined]) {
    const proxy = link && (await startProxy(scope, link))
    // A receiver tells the seeders of each other, and they tell the next one: of their own addresses it would use those.
    const seeder = await start(scope, proxy && [proxy.multiaddr])
    cid = await seeder.add(content.path)
    if (proxy === undefined) {
      peers.push(seeder.multiaddr)
      continue
    }
    proxy.targetPort = seeder.port
    proxies.push({ proxy })
    peers.push(`${proxy.multiaddr}/p2p/${seeder.peerId}`)
  }
  const copy = join(folder, `${name}-copy`)
  let receiverScope: OpenScope
  let receiver: IpfsNode
  return {
    name: `${name}, its nodes already up`,
    prepare: async () => {
      receiverScope = openScope()
      cleanUpAfter(scope, receiverScope.end)
      receiver = await start(receiverScope)
    },
    run: async () => {
      const linkBytes = countBytes(proxies)
      const startedAt = performance.now()
      await receiver.get(cid, peers, copy)
      const seconds = (performance.now() - startedAt) / SECOND_MS
      if (proxies.length > 0) assertThroughLinks(name, linkBytes(), content.byteCount)
      return { seconds }
    },
    tidy: async () => {
      await receiverScope.end()
      await checkAndRemove(copy, content)
    },
  }
}

/** A command in the background until the scope ends. */
function startInBackground(scope: CleanUpScope, command: Command): RunningCommand {
  const running = startCommand(command)
  // That it is killed at the end is no failure; if it ends before, the contender that needs it fails.
  running.finished.catch(() => {})
  cleanUpAfter(scope, () => {
    running.process.kill('SIGTERM')
  })
  return running
}

async function checkAndRemove(copy: string, content: Content): Promise<void> {
  await content.assertSame(copy)
  await rm(copy, { recursive: true })
}

function listenOn(port: number): string {
  return `TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr,fork`
}

async function firstLine(output: NodeJS.ReadableStream): Promise<string> {
  return await new Promise((resolve) => createInterface({ input: output }).once('line', resolve))
}

async function untilListening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const listens = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
      socket.on('connect', () => socket.destroy())
    })
    if (listens) return
    await sleep(50)
  }
  throw new Error(`nothing listens on port ${port}`)
}

async function runs(command: string, args: string[]): Promise<boolean> {
  return await run(command, args).then(
    () => true,
    () => false,
  )
}
