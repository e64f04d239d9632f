/** The other ways to get a file from one seeder on loopback, which the bench sets beside `p2p get`. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { sleep } from '../../src/common/abort.ts'
import { SECOND_MS } from '../../src/common/units.ts'
import { sha256OfFile } from '../support/bytes.ts'
import { type CleanUpScope, cleanUpAfter, type OpenScope, openScope } from '../support/clean-up.ts'
import { noHelia, startHelia } from '../support/helia.ts'
import { noKubo, startKubo } from '../support/kubo.ts'
import { findFreePort } from '../support/proxy.ts'
import { type Command, type Contender, type RunningCommand, startCommand, timeCommand } from './measure.ts'

const run = promisify(execFile)

export interface BenchFile {
  path: string
  sha256: string
}

export interface Others {
  others: Contender[]
  /** Why one does not take part. */
  skipped: string[]
}

/** Starts the seeders of all tools that are here. */
export async function setUpOthers(scope: CleanUpScope, folder: string, file: BenchFile): Promise<Others> {
  const others = [await bareStream(scope, folder, file)]
  const skipped: string[] = []
  if (await runs('socat', ['-V'])) others.push(await socat(scope, folder, file))
  else skipped.push('socat: it is not installed')
  const kuboIsMissing = await noKubo()
  if (kuboIsMissing === false) others.push(await betweenNodes('Kubo', startKubo, scope, folder, file))
  else skipped.push(kuboIsMissing)
  if (noHelia === false) others.push(await betweenNodes('Helia', startHelia, scope, folder, file))
  else skipped.push(noHelia)
  return { others, skipped }
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

/** Removes the copy that a contender made, after a look whether it is right. */
async function tidyCopy(copy: string, file: BenchFile): Promise<void> {
  assert.equal(await sha256OfFile(copy), file.sha256, `${copy} differs from the file`)
  await rm(copy)
}

async function bareStream(scope: CleanUpScope, folder: string, file: BenchFile): Promise<Contender> {
  const program = fileURLToPath(new URL('bare-stream.js', import.meta.url))
  const copy = join(folder, 'bare-stream-copy')
  const sender = startInBackground(scope, { command: process.execPath, args: [program, 'send', file.path] })
  const { stdout } = sender.process
  assert.ok(stdout !== null)
  const address = await Promise.race([firstLine(stdout), sender.finished.then(() => '')])
  return {
    name: 'bare libp2p stream',
    run: () => timeCommand({ command: process.execPath, args: [program, 'receive', address, copy] }),
    tidy: () => tidyCopy(copy, file),
  }
}

async function socat(scope: CleanUpScope, folder: string, file: BenchFile): Promise<Contender> {
  const port = await findFreePort()
  const copy = join(folder, 'socat-copy')
  startInBackground(scope, {
    command: 'socat',
    args: ['-U', '-b', '262144', `TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr,fork`, `OPEN:${file.path},rdonly`],
  })
  await untilListening(port)
  const receiver = 'set -e; socat -u -b 262144 "TCP:127.0.0.1:$1" - | tee "$2" | sha256sum'
  return {
    name: 'socat, sha256sum',
    run: () => timeCommand({ command: 'sh', args: ['-c', receiver, 'sh', String(port), copy] }),
    tidy: () => tidyCopy(copy, file),
  }
}

interface IpfsNode {
  multiaddr: string
  add(path: string): Promise<string>
  get(cid: string, peer: string, output: string): Promise<void>
}

/**
 * Two nodes of the same kind, both up before the clock starts; it stops when the file is there. The receiver is a new one
 * in every run, for it keeps what it has fetched.
 */
async function betweenNodes(
  name: string,
  start: (scope: CleanUpScope) => Promise<IpfsNode>,
  scope: CleanUpScope,
  folder: string,
  file: BenchFile,
): Promise<Contender> {
  const seeder = await start(scope)
  const cid = await seeder.add(file.path)
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
      const startedAt = performance.now()
      await receiver.get(cid, seeder.multiaddr, copy)
      return { seconds: (performance.now() - startedAt) / SECOND_MS }
    },
    tidy: async () => {
      await receiverScope.end()
      await tidyCopy(copy, file)
    },
  }
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
