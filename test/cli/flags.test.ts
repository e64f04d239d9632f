import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bootstrapPeers, parseAnnounceAddress, parseListenAddress } from '../../src/cli/addresses.ts'
import { limitsFrom, parseDuration, parseLimit } from '../../src/cli/flags.ts'
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

describe('limits', () => {
  const rates: [string, number | null][] = [
    ['16KiB', 16_384],
    ['10MiB', 10_485_760],
    ['1.5 GiB', 1_610_612_736],
    ['none', null],
  ]
  for (const [text, limit] of rates) {
    it(`read ${text}`, () => assert.equal(parseLimit(text, '--limit-up'), limit))
  }

  for (const text of ['', '0', '10', '10M', '10MB', '10mib', '-1MiB', '0MiB', '15KiB', '1e3MiB', '10MiB/s', 'None']) {
    it(`refuse ${JSON.stringify(text)} and name the flag`, () => {
      assert.throws(
        () => parseLimit(text, '--limit-up'),
        (error) => hasCode(error, 'usage') && error.message.includes('--limit-up'),
      )
    })
  }

  it('are those of the flags, else of the environment, else left to the configuration', () => {
    assert.deepEqual(limitsFrom({}, {}), { up: undefined, down: undefined, lan: undefined })
    const env = { P2P_LIMIT_UP: '1MiB', P2P_LIMIT_DOWN: 'none', P2P_LIMIT_LAN: '1' }
    assert.deepEqual(limitsFrom({}, env), { up: 1_048_576, down: null, lan: true })
    assert.deepEqual(limitsFrom({ limitUp: null, limitDown: 65_536 }, env), { up: null, down: 65_536, lan: true })
    assert.equal(limitsFrom({ limitLan: true }, { P2P_LIMIT_LAN: '0' }).lan, true)
  })

  it('are refused in the environment too, and its variable named', () => {
    for (const name of ['P2P_LIMIT_UP', 'P2P_LIMIT_DOWN', 'P2P_LIMIT_LAN']) {
      assert.throws(
        () => limitsFrom({}, { [name]: 'much' }),
        (error) => hasCode(error, 'usage') && error.message.includes(name),
      )
    }
  })
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
