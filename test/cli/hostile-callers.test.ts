/** Callers on the socket that do not behave, against the built binary. In process: `test/rpc/server.test.ts`. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chown, mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import test from 'node:test'
import { KiB, MiB } from '../../src/common/units.ts'
import { writeRandomFile } from '../support/bytes.ts'
import { noPeakMemory, peakBytesOf } from '../support/peak-memory.ts'
import { addPath, runP2p, startServe } from '../support/processes.ts'
import { makeTempDir } from '../support/temp.ts'
import { until } from '../support/until.ts'

/** Sends what it is given until it is through or not taken any more. @returns what came back */
async function send(socketPath: string, pieces: Iterable<string | Uint8Array>): Promise<string> {
  const socket = connect(socketPath).setEncoding('latin1')
  let answer = ''
  socket.on('data', (text) => {
    answer += text
  })
  socket.on('error', () => {})
  const closed = new Promise((resolve) => socket.once('close', resolve))
  for (const piece of pieces) {
    if (socket.destroyed) break
    await new Promise((resolve) => socket.write(piece, resolve))
  }
  socket.end()
  await closed
  return answer
}

function post(operation: string, body: string, contentLength = body.length): string {
  return `POST /v1/${operation} HTTP/1.1\r\nHost: x\r\nContent-Length: ${contentLength}\r\n\r\n${body}`
}

test('garbage, half a request, 100 MiB of JSON and a caller that stops reading', { skip: noPeakMemory }, async (t) => {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'repo')
  await writeRandomFile(join(folder, 'large'), 'large', 96 * MiB)
  const cid = await addPath(repo, join(folder, 'large'))
  const holder = await startServe(t, repo)
  const socketPath = join(repo, 'api.sock')
  assert.match(await send(socketPath, ['\0\xff\xfe garbage\r\n\r\n']), /^HTTP\/1\.1 400 /)
  await send(socketPath, ['POST /v1/add HTT'])
  await send(socketPath, [post('add', '{"sources"', 100)])
  const before = peakBytesOf(holder.process.pid)
  const json = Array.from({ length: 1600 }, () => Buffer.alloc(64 * KiB, '['))
  assert.match(await send(socketPath, [post('get', '', 100 * MiB), ...json]), /^HTTP\/1\.1 413 |^$/)

  // It takes the beginning of the answer, and then nothing more.
  const stalled = connect(socketPath)
  stalled.on('error', () => {})
  stalled.write(post('get', `{"ref":"${cid}","target":{"stream":{"offset":0}}}`))
  await once(stalled, 'readable')
  let peak = 0
  await until(t, async () => {
    const last = peak
    peak = peakBytesOf(holder.process.pid)
    if (peak === last) return true
    await new Promise((resolve) => setTimeout(resolve, 500))
    return false
  })
  assert.ok(peak - before < 64 * MiB, `the holder took ${(peak - before) / MiB} MiB more`)
  assert.equal((await runP2p(['id'], { repo })).code, 0)
  stalled.destroy()
  await holder.stop()
})

const notRoot = process.getuid?.() === 0 ? false : 'a socket can be given to another user by root alone'

test('a socket of another user is refused, not gone around', { skip: notRoot }, async (t) => {
  const repo = join(await makeTempDir(t), 'repo')
  await mkdir(repo, { mode: 0o700 })
  await writeFile(join(repo, 'api.sock'), '')
  await chown(join(repo, 'api.sock'), 12_345, 12_345)
  const { code, stderr } = await runP2p(['id'], { repo })
  assert.equal(code, 6, stderr)
  assert.match(stderr, /^error: .*api\.sock.* another user/)
})
