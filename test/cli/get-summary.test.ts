import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { getSummary } from '../../src/cli/get-summary.ts'
import { MiB } from '../../src/common/units.ts'
import type { GetResult } from '../../src/node/api.ts'

type Stats = GetResult['stats']

function peer(number: number, bytes: number): Stats['peers'][number] {
  const digits = String(number).padStart(8, '0')
  return {
    peerId: `12D3KooWpeer${digits}`,
    multiaddr: `/ip4/192.0.2.1/tcp/${number}`,
    path: 'direct',
    bytes,
    blocks: bytes / MiB,
  }
}

function result(stats: Partial<Stats>, path: string | null = '/home/me/film.mkv'): GetResult {
  const defaults = { bytes: 40 * MiB, receivedBytes: 40 * MiB, duplicateBytes: 0, blocks: 40, seconds: 4, peers: [] }
  return { cid: 'bafy', path, skipped: [], skippedCount: 0, stats: { ...defaults, ...stats } }
}

describe('the summary of a download', () => {
  it('says size, time, rate, duplicates, and who gave how much, the most first', () => {
    const peers = [peer(1, 10 * MiB), peer(2, 0), peer(3, 30 * MiB)]
    assert.deepEqual(getSummary(result({ peers, duplicateBytes: MiB })), [
      'Saved film.mkv: 40.0 MiB in 4.0 s, 10.0 MiB/s, from 2 peers, 2.5 % duplicate, verified.',
      '  /home/me/film.mkv',
      '  30.0 MiB (75 %) from …00000003  direct  /ip4/192.0.2.1/tcp/3',
      '  10.0 MiB (25 %) from …00000001  direct  /ip4/192.0.2.1/tcp/1',
    ])
  })

  it('says so when nobody had to be asked, or the result is a stream', () => {
    assert.deepEqual(getSummary(result({ receivedBytes: 0, blocks: 0 }, null)), [
      'Done: 40.0 MiB in 4.0 s, all of it was here, 0.0 % duplicate, verified.',
    ])
  })

  it('names ten peers and counts the others', () => {
    const peers = Array.from({ length: 12 }, (_, index) => peer(index, MiB))
    const lines = getSummary(result({ peers }))
    assert.equal(lines.length, 2 + 10 + 1)
    assert.equal(lines.at(-1), '  and 2 more')
  })
})
