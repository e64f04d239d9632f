/** The demo with a small file: it shows what it promises and leaves neither processes nor files behind. */

import assert from 'node:assert/strict'
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import test, { type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { MiB } from '../../src/common/units.ts'
import { atExit, cleanUpAfter } from '../support/clean-up.ts'
import { makeTempDir } from '../support/temp.ts'
import { until } from '../support/until.ts'

interface Demo {
  child: ChildProcessWithoutNullStreams
  /** Where it puts its files. */
  folder: string
  output: () => string
}

/** Starts the demo as the leader of a process group, which its processes belong to. */
async function startDemo(t: TestContext): Promise<Demo> {
  const folder = await makeTempDir(t)
  const child = spawn(process.execPath, [fileURLToPath(new URL('demo.js', import.meta.url))], {
    detached: true,
    env: { ...process.env, NODE_TEST_CONTEXT: undefined, TMPDIR: folder, P2P_DEMO_BYTES: String(4 * MiB) },
  })
  const killAll = () => {
    if (processesOf(child).length > 0) process.kill(-child.pid!, 'SIGKILL')
  }
  const forget = atExit(killAll)
  cleanUpAfter(t, () => {
    killAll()
    forget()
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  return { child, folder, output: () => output }
}

/** The running processes of the group, as `ps` shows them. */
function processesOf({ pid }: ChildProcessWithoutNullStreams): string[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pgid=,stat=,args='], { encoding: 'utf8' }).split('\n')
  return lines.filter((line) => new RegExp(`^ *${pid} +[^Z]`).test(line))
}

test('the demo runs to its end and leaves nothing', async (t) => {
  const { child, folder, output } = await startDemo(t)
  const [code] = await once(child, 'close')
  assert.equal(code, 0, output())
  assert.match(output(), /MiB \(.+%\) from …/)
  assert.match(output(), /Every process has ended and every file is removed/)
  assert.deepEqual(processesOf(child), [])
  assert.deepEqual(await readdir(folder), [])
})

test('the demo interrupted in the middle leaves nothing either', async (t) => {
  const { child, folder, output } = await startDemo(t)
  await until(t, () => / seeder 1, /.test(output()) || child.exitCode !== null)
  assert.ok(processesOf(child).length > 1, output())
  child.kill('SIGINT')
  const [code] = await once(child, 'close')
  assert.equal(code, 130, output())
  // Killed processes are gone when the system has got round to it.
  await until(t, () => processesOf(child).length === 0)
  assert.deepEqual(await readdir(folder), [])
})
