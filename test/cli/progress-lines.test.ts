import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { progressLines, progressSentence } from '../../src/cli/progress-lines.ts'
import type { GetProgress, PeerProgress } from '../../src/common/progress.ts'
import { MiB } from '../../src/common/units.ts'

const SIZE = { columns: 120, rows: 24 }

function peer(number: number, changes: Partial<PeerProgress> = {}): PeerProgress {
  return {
    peerId: `12D3KooWpeer${String(number).padStart(8, '0')}`,
    multiaddr: '/ip4/127.0.0.1/tcp/1',
    path: 'loopback',
    connected: true,
    bytes: number * MiB,
    blocks: number,
    bytesPerSecond: number * MiB,
    inFlightBytes: 2 * MiB,
    rttMs: 0.42,
    ...changes,
  }
}

function event(changes: Partial<GetProgress> = {}): GetProgress {
  return {
    type: 'progress',
    phase: 'downloading',
    bytes: 128 * MiB,
    totalBytes: 512 * MiB,
    bytesPerSecond: 64 * MiB,
    etaSeconds: 6,
    duplicateBytes: 0,
    heldBackBy: null,
    peers: [],
    ...changes,
  }
}

describe('progress lines', () => {
  it('show bar, percentage, amounts, rate, time left and peers', () => {
    const [line] = progressLines(event({ peers: [peer(1), peer(2, { connected: false })] }), SIZE)
    assert.equal(
      line,
      'Downloading  [======>                 ]  25.0 %  128.0 MiB of 512.0 MiB  64.0 MiB/s  ETA 6.0 s  peers 1',
    )
  })

  it('show a line per peer, the fastest first and those that left last', () => {
    const lines = progressLines(
      event({ peers: [peer(1), peer(7, { connected: false }), peer(3, { rttMs: null })] }),
      SIZE,
    )
    assert.deepEqual(
      lines.slice(1).map((line) => line.replace(/ +/g, ' ')),
      [
        ' …00000003 loopback 3.0 MiB/s 3.0 MiB 3 blocks 2.0 MiB in flight',
        ' …00000001 loopback 1.0 MiB/s 1.0 MiB 1 blocks 2.0 MiB in flight RTT 0.4 ms',
        ' …00000007 loopback gone 7.0 MiB 7 blocks',
      ],
    )
  })

  it('say below the total what a slow download waits for and what came twice', () => {
    const slow = event({ etaSeconds: 60, heldBackBy: 'limit', duplicateBytes: MiB, peers: [peer(1)] })
    const lines = progressLines(slow, SIZE)
    assert.equal(lines[1], '  held to the limit  1.0 MiB duplicate')
    assert.equal(lines.length, 3)
    const sentence =
      'Downloading  25.0 %  128.0 MiB of 512.0 MiB  64.0 MiB/s  ETA 1m00s  peers 1  held to the limit  1.0 MiB duplicate'
    assert.equal(progressSentence(slow), sentence)
    for (const [heldBackBy, text] of [
      ['peer', 'waiting for peers'],
      ['disk', 'waiting for the disk'],
      ['hash', 'waiting for hashes'],
    ] as const) {
      assert.equal(progressLines(event({ etaSeconds: 60, heldBackBy }), SIZE)[1], `  ${text}`)
    }
    assert.equal(
      progressLines(event({ etaSeconds: 5, heldBackBy: 'peer' }), SIZE).length,
      1,
      'what is soon done is not slow',
    )
  })

  it('fit the terminal in width and height', () => {
    const peers = Array.from({ length: 50 }, (_, index) => peer(index))
    for (const size of [SIZE, { columns: 40, rows: 8 }, { columns: 10, rows: 3 }]) {
      const lines = progressLines(event({ peers }), size)
      assert.ok(lines.length < size.rows, `${lines.length} lines in ${size.rows} rows`)
      const withLosses = progressLines(event({ peers, duplicateBytes: 1 }), size)
      assert.ok(withLosses.length < size.rows || size.rows === 3, `${withLosses.length} lines in ${size.rows} rows`)
      assert.ok(lines.every((line) => line.length < size.columns))
      const shown = lines.length - 2
      if (size.columns > 20) assert.equal(lines.at(-1), `  and ${50 - shown} more`)
    }
  })

  it('leave out what is not known', () => {
    const unknown = { bytes: 0, totalBytes: null, bytesPerSecond: 0, etaSeconds: null }
    assert.equal(progressSentence(event({ ...unknown, phase: 'finding-providers' })), 'Finding providers  peers 0')
    assert.equal(
      progressSentence({
        type: 'add-progress',
        bytes: 3 * MiB,
        totalBytes: null,
        totalFiles: null,
        bytesPerSecond: 0,
        etaSeconds: null,
        files: 2,
      }),
      'Adding  3.0 MiB  2 files',
    )
  })

  it('never show 100 % before it is so, and 100 % of nothing', () => {
    assert.match(progressSentence(event({ bytes: 512 * MiB - 1 })), / 99\.9 %/)
    assert.match(progressSentence(event({ bytes: 0, totalBytes: 0 })), / 100\.0 %/)
  })
})
