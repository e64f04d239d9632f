/** No process that is told to stay on this machine sends anything to another one: seen from the system calls. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { promisify } from 'node:util'
import { sleep } from '../../src/common/abort.ts'
import { MiB, SECOND_MS } from '../../src/common/units.ts'
import { sha256OfFile, writeRandomFile } from '../support/bytes.ts'
import { addPath, getJson, startServe } from '../support/processes.ts'
import { makeTempDir } from '../support/temp.ts'

const run = promisify(execFile)

/** With `-D` the traced program keeps the process id and signals reach it, not strace. */
function straceTo(logFile: string): string[] {
  return [
    'strace',
    '-D',
    '-f',
    '-qq',
    '-s',
    '0',
    '-e',
    'trace=connect,sendto,sendmsg,sendmmsg,exit_group',
    '-o',
    logFile,
  ]
}

const straceWorks = await run('strace', ['-qq', '-o', '/dev/null', 'true']).then(
  () => true,
  () => false,
)

/** Every internet address that the traced process connected or sent to. */
async function readDestinations(logFile: string): Promise<string[]> {
  // strace writes the last lines after its tracee has ended.
  let log = ''
  for (let waitedMs = 0; !log.includes('exit_group(') && waitedMs < 10 * SECOND_MS; waitedMs += 50) {
    await sleep(50)
    log = await readFile(logFile, 'utf8')
  }
  assert.ok(log.includes('exit_group('), 'the trace is whole')
  return [...log.matchAll(/inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"/g)].map(([, v4, v6]) => v4 ?? v6 ?? '')
}

function isLoopback(address: string): boolean {
  return /^127\./.test(address) || address === '::1' || /^::ffff:127\./.test(address)
}

test('serve and get dial nothing but loopback', {
  skip: !straceWorks && 'strace is not here or may not trace',
}, async (t) => {
  const folder = await makeTempDir(t)
  const file = join(folder, 'file')
  const digest = await writeRandomFile(file, 'loopback', 2 * MiB)
  const seederRepo = join(folder, 'seeder')
  const cid = await addPath(seederRepo, file)
  const bootstrap = await startServe(t, join(folder, 'bootstrap'))

  const serveLog = join(folder, 'serve.strace')
  const seeder = await startServe(t, seederRepo, ['--bootstrap', bootstrap.multiaddr], { wrapper: straceTo(serveLog) })
  await seeder.announced(cid)
  const getLog = join(folder, 'get.strace')
  const output = join(folder, 'output')
  await getJson([cid, '-o', output, '--bootstrap', bootstrap.multiaddr], {
    repo: join(folder, 'receiver'),
    wrapper: straceTo(getLog),
  })
  assert.equal(await sha256OfFile(output), digest)
  await seeder.stop()

  for (const log of [serveLog, getLog]) {
    const destinations = await readDestinations(log)
    assert.ok(destinations.length > 0, 'the trace shows at least the dial of the bootstrap node')
    assert.deepEqual(
      destinations.filter((address) => !isLoopback(address)),
      [],
    )
  }
})
