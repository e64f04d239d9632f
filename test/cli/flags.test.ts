import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bootstrapPeers, parseAnnounceAddress, parseListenAddress } from '../../src/cli/addresses.ts'
import { parseDuration } from '../../src/cli/flags.ts'
import { hasCode } from '../../src/common/errors.ts'

const PEER = '/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'
const OTHER = '/ip6/::1/tcp/4001/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN'

describe('parseDuration', () => {
  const durations: [string, number][] = [
    ['500ms', 500],
    ['8s', 8000],
    ['1.5m', 90_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
  ]
  for (const [text, ms] of durations) {
    it(`reads ${text}`, () => assert.equal(parseDuration(text, '--timeout'), ms))
  }

  for (const text of ['', '8', '8 s', 's', '-1s', '0s', '0.1ms', '1d', '1e3s', '8S', '600h', '9'.repeat(400)]) {
    it(`refuses ${JSON.stringify(text.slice(0, 20))} and names the flag`, () => {
      assert.throws(
        () => parseDuration(text, '--timeout'),
        (error) => hasCode(error, 'usage') && error.message.includes('--timeout'),
      )
    })
  }
})

describe('bootstrapPeers', () => {
  it('leaves it to the configuration when nothing is said', () => {
    assert.equal(bootstrapPeers(undefined, undefined), undefined)
    assert.equal(bootstrapPeers(undefined, ' '), undefined)
  })

  it('lets the flag win over the environment', () => {
    assert.deepEqual(bootstrapPeers([PEER], OTHER), [PEER])
    assert.deepEqual(bootstrapPeers(['none'], OTHER), [])
  })

  it('splits the environment at commas and spaces', () => {
    assert.deepEqual(bootstrapPeers(undefined, `${PEER}, ${OTHER}`), [PEER, OTHER])
    assert.deepEqual(bootstrapPeers(undefined, `${PEER} ${OTHER},`), [PEER, OTHER])
    assert.deepEqual(bootstrapPeers(undefined, 'none'), [])
  })

  it('refuses none beside addresses, and what names no peer', () => {
    assert.throws(
      () => bootstrapPeers(['none', PEER], undefined),
      (error) => hasCode(error, 'usage'),
    )
    assert.throws(
      () => bootstrapPeers(undefined, '/ip4/127.0.0.1/tcp/4001'),
      (error) => hasCode(error, 'bad-ref'),
    )
  })
})

describe('listen and announce addresses', () => {
  it('take what a TCP transport can use', () => {
    for (const text of ['/ip4/0.0.0.0/tcp/0', '/ip6/::/tcp/4001']) assert.equal(parseListenAddress(text), text)
    for (const text of ['/ip4/203.0.113.7/tcp/4001', '/dns4/seed.example.net/tcp/4001', PEER]) {
      assert.equal(parseAnnounceAddress(text), text)
    }
  })

  it('refuse everything else', () => {
    for (const text of ['', '0.0.0.0:4001', '/ip4/0.0.0.0', '/ip4/0.0.0.0/udp/4001/quic-v1', '/dns4/a/tcp/1', PEER]) {
      assert.throws(
        () => parseListenAddress(text),
        (error) => hasCode(error, 'bad-ref'),
        text,
      )
    }
    for (const text of ['', '/ip4/203.0.113.7', '/ip4/203.0.113.7/udp/4001/quic-v1', '/ip4/203.0.113.777/tcp/1']) {
      assert.throws(
        () => parseAnnounceAddress(text),
        (error) => hasCode(error, 'bad-ref'),
        text,
      )
    }
  })
})
