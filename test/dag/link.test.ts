import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatLink } from '../../src/dag/link.ts'
import { parseRef } from '../../src/dag/ref.ts'

const CID = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi'
const PEER_ID = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'
const providersOn = (count: number) =>
  Array.from({ length: count }, (_, port) => `/ip4/192.0.2.1/tcp/${port + 1}/p2p/${PEER_ID}`)

test('a link names content, a file name and where it is', () => {
  assert.equal(formatLink({ cid: CID, providers: [] }), `ipfs://${CID}`)
  assert.equal(
    formatLink({ cid: CID, filename: 'a film & more.mkv', providers: providersOn(2) }),
    `ipfs://${CID}?filename=a%20film%20%26%20more.mkv&provider=/ip4/192.0.2.1/tcp/1/p2p/${PEER_ID}` +
      `&provider=/ip4/192.0.2.1/tcp/2/p2p/${PEER_ID}`,
  )
})

test('a reference is read from a link as it was written, whatever the name', () => {
  const names = fc.string({ unit: 'grapheme' })
  fc.assert(
    fc.property(names, fc.nat(12), (filename, count) => {
      const ref = parseRef(formatLink({ cid: CID, filename, providers: providersOn(count) }))
      assert.deepEqual(
        { cid: ref.cid.toString(), filename: ref.filename, providers: ref.providers, unusable: ref.unusableProviders },
        { cid: CID, filename, providers: providersOn(Math.min(count, 8)), unusable: [] },
      )
    }),
  )
})
