import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { hasCode, P2PError } from '../../src/common/errors.ts'
import { parsePeerAddress, parseRef, sourcesOf } from '../../src/dag/ref.ts'

const CID = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi'
const CID_V0 = 'QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR'
const PEER_ID = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'
const PEER = `/ip4/192.0.2.1/tcp/4001/p2p/${PEER_ID}`

function parts(text: string) {
  const { cid, path, filename, providers } = parseRef(text)
  return { cid: cid.toString(), path, filename, providers }
}

const plain = { filename: undefined, providers: [] }

describe('parseRef', () => {
  const forms: [string, string, string[]][] = [
    [CID, CID, []],
    [CID_V0, CID_V0, []],
    [`${CID}/`, CID, []],
    [`${CID}/a/b c/100%.txt`, CID, ['a', 'b c', '100%.txt']],
    [`/ipfs/${CID}`, CID, []],
    [`/ipfs/${CID}/a?b#c`, CID, ['a?b#c']],
    [`ipfs://${CID}`, CID, []],
    [`ipfs://${CID_V0}/a`, CID_V0, ['a']],
    [`IPFS://${CID}/a%20b/%C3%BC`, CID, ['a b', 'ü']],
    [`ipfs://ipfs/${CID}/a`, CID, ['a']],
    [`ipfs://${CID}/a#section`, CID, ['a']],
    [`https://ipfs.example.net/ipfs/${CID}/a%3Fb/`, CID, ['a?b']],
    [`http://127.0.0.1:8080/ipfs/${CID_V0}`, CID_V0, []],
    [`https://${CID}.ipfs.example.net/`, CID, []],
    [`https://${CID.toUpperCase().replace('B', 'b')}.ipfs.example.net/a`, CID, ['a']],
    [`http://user@${CID}.ipfs.localhost:8080/a?download=true`, CID, ['a']],
  ]
  for (const [text, cid, path] of forms) {
    it(`reads ${text}`, () => {
      assert.deepEqual(parts(text), { cid, path, ...plain })
    })
  }

  it('takes the filename and every usable provider from a link, and ignores other parameters', () => {
    const other = '/dns4/seed.example.net/tcp/4001/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN'
    const providers = [PEER, other, PEER, '/ip4/192.0.2.1/tcp/4001', 'nonsense'].map(
      (hint) => `provider=${encodeURIComponent(hint)}`,
    )
    assert.deepEqual(parts(`ipfs://${CID}?filename=..%2Fa%20b.iso&x=1&${providers.join('&')}`), {
      cid: CID,
      path: [],
      filename: '../a b.iso',
      providers: [PEER, other],
    })
  })

  it('names what a link gives as a provider and is none, each once', () => {
    const hints = ['nonsense', '/ip4/192.0.2.1/tcp/4001', '', 'nonsense', `/dns4/${'x'.repeat(500)}`]
    const query = [PEER, ...hints].map((hint) => `provider=${encodeURIComponent(hint)}`).join('&')
    const { providers, unusableProviders } = parseRef(`ipfs://${CID}?${query}`)
    assert.deepEqual(providers, [PEER])
    assert.deepEqual(unusableProviders.slice(0, 3), ['nonsense', '/ip4/192.0.2.1/tcp/4001', ''])
    assert.equal(unusableProviders.length, 4)
    assert.match(unusableProviders[3] ?? '', /^\/dns4\/x+…x+$/)
  })

  it('reads a provider that is not percent-encoded', () => {
    assert.deepEqual(parts(`ipfs://${CID}/a?provider=${PEER}`).providers, [PEER])
  })

  const refused = [
    '',
    '/',
    'x',
    './film.mkv',
    '/home/user/film.mkv',
    `${CID}//a`,
    `${CID}/../a`,
    `${CID}/./a`,
    `ipfs://${CID}/%2e%2e/a`,
    `ipfs://${CID}/a%2Fb`,
    `ipfs://${CID}/a%00b`,
    `ipfs://${CID}/%zz`,
    `https://ipfs.example.net/ipfs/${CID}/../a`,
    'https://example.net/film.mkv',
    'https://example.net',
    'https://not-a-cid.ipfs.example.net/',
    'ipns://example.net/a',
    '/ipns/example.net',
    'https://example-net.ipns.example.net/',
    `magnet://${CID}`,
    `${CID}${'/a'.repeat(257)}`,
    `${CID}/${'a'.repeat(70_000)}`,
    // An identity hash above boxo's limit, and a digest that is too short to be secure.
    `z${'1'.repeat(300)}`,
    'bafkqaaa1',
  ]
  for (const text of refused) {
    it(`refuses ${JSON.stringify(text.slice(0, 70))}`, () => {
      assert.throws(
        () => parseRef(text),
        (error) => hasCode(error, 'bad-ref'),
      )
    })
  }

  it('says that a CID was cut off', () => {
    for (const cut of [CID.slice(0, 55), CID_V0.slice(0, -1), `${CID}a`]) {
      assert.throws(
        () => parseRef(cut),
        (error: P2PError) => /copied whole/.test(error.hint ?? '') && error.hint?.includes(`${cut.length}`) === true,
      )
    }
  })

  it('throws nothing but bad-ref, whatever it is given', () => {
    const pieces = fc.constantFrom(
      CID,
      'ipfs://',
      'http://',
      '/ipfs/',
      '/',
      '%',
      '?',
      '&provider=',
      '#',
      '..',
      '.ipfs.',
      '\0',
    )
    const texts = fc.array(fc.oneof(pieces, fc.string())).map((parts) => parts.join(''))
    fc.assert(
      fc.property(texts, (text) => {
        try {
          const { path } = parseRef(text)
          assert.ok(path.every((name) => name !== '' && name !== '..' && !name.includes('/')))
        } catch (error) {
          assert.ok(hasCode(error, 'bad-ref'), String(error))
        }
      }),
      { numRuns: 2000 },
    )
  })
})

describe('parsePeerAddress', () => {
  it('takes addresses that end in a peer id, in any of its spellings', () => {
    assert.equal(parsePeerAddress(PEER), PEER)
    assert.equal(parsePeerAddress(`/ip4/192.0.2.1/tcp/4001/ipfs/${PEER_ID}`), PEER)
    const relayed = `${PEER}/p2p-circuit/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN`
    assert.equal(parsePeerAddress(relayed), relayed)
  })

  const refused = [
    '',
    'none',
    PEER_ID,
    '/ip4/192.0.2.1/tcp/4001',
    '/ip4/192.0.2.999/tcp/4001',
    `${PEER}/p2p-circuit`,
    PEER.slice(0, -1),
    PEER.slice(0, -10),
    `/ip4/192.0.2.1/tcp/4001/p2p/${CID}`,
  ]
  for (const text of refused) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => parsePeerAddress(text),
        (error) => error instanceof P2PError && error.code === 'bad-ref' && error.hint !== undefined,
      )
    })
  }
})

describe('sourcesOf', () => {
  it('gathers addresses by peer, each once', () => {
    const elsewhere = `/ip6/2001:db8::1/tcp/4001/p2p/${PEER_ID}`
    const otherId = 'QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN'
    const other = `${PEER}/p2p-circuit/p2p/${otherId}`
    assert.deepEqual(sourcesOf([PEER, other, elsewhere, PEER]), [
      { peerId: PEER_ID, multiaddrs: [PEER, elsewhere] },
      { peerId: otherId, multiaddrs: [other] },
    ])
  })

  it('refuses an address without a peer', () => {
    assert.throws(
      () => sourcesOf([PEER, '/ip4/192.0.2.1/tcp/4001']),
      (error) => hasCode(error, 'bad-ref'),
    )
  })
})
