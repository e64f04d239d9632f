/**
 * Has V8 compile the bundle once for all starts (`src/cli/bundle.ts`): runs the commands that have to start fast, and
 * keeps the code of each function that they call. Part of `npm run build`; without it everything works, only slower.
 */

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const RECORD = '--record'
const FILE_BYTES = 8 * 1024 * 1024

const program = fileURLToPath(import.meta.url)
const folder = join(program, '../dist/bundle/cli')
const recorded = [program, RECORD]
const asEver = [join(program, '../bin/p2p.js')]

if (process.argv[2] === RECORD) {
  process.argv.splice(2, 1)
  const { Bundle } = createRequire(import.meta.url)(join(folder, 'bundle.js'))
  const bundle = new Bundle(folder)
  process.on('exit', () => bundle.saveCode())
  bundle.load('main.js')
} else {
  const work = mkdtempSync(join(tmpdir(), 'p2p-code-cache-'))
  try {
    await runCommands(work)
  } catch (error) {
    process.stderr.write(`warning: p2p will start slower than it could: ${error.message}\n`)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

async function runCommands(work) {
  const file = join(work, 'file')
  writeFileSync(file, randomBytes(FILE_BYTES))
  const seeder = join(work, 'seeder')
  const [cid] = await linesOf(start(recorded, seeder, ['add', file]))
  await linesOf(start(recorded, seeder, ['ls', cid]))
  await (await serve(recorded, seeder)).stop()
  // Of two that run at once the code of the one that ends first would be lost.
  const { address, stop } = await serve(asEver, seeder)
  const get = ['get', cid, '-o', join(work, 'copy'), '--peer', address]
  try {
    await linesOf(start(recorded, join(work, 'receiver'), get))
  } finally {
    await stop()
  }
}

async function serve(command, repo) {
  const child = start(command, repo, ['serve', '--listen', '/ip4/127.0.0.1/tcp/0', '--json'])
  const ended = linesOf(child)
  const ready = new Promise((resolve) => createInterface({ input: child.stdout }).once('line', resolve))
  const line = await Promise.race([ready, ended.then(([first]) => first)])
  return {
    address: JSON.parse(line).multiaddrs[0],
    stop: async () => {
      child.kill('SIGTERM')
      await ended
    },
  }
}

function start(command, repo, args) {
  return spawn(process.execPath, [...command, ...args], {
    env: { ...process.env, P2P_PATH: repo, P2P_BOOTSTRAP: 'none' },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
}

/** What the command prints. @throws Error if it fails */
async function linesOf(child) {
  const lines = []
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
  const [code, signal] = await once(child, 'close')
  if (code !== 0) throw new Error(`${child.spawnargs.slice(2).join(' ')} ended with ${code ?? signal}`)
  return lines
}
