import assert from 'node:assert/strict'
import { test } from 'node:test'
import { multiaddr } from '@multiformats/multiaddr'
import {
  type AddressPath,
  dialableByOthers,
  ipGroupOf,
  pathOf,
  peerIdIn,
  tcpPortOf,
  withPeerId,
  withTcpPort,
} from '../../src/net/addresses.ts'

const PEER = '12D3KooWEZ1vxnNsASZj1toUo3JNhiFcWtWEMEAQbwQWUjdUDGvL'

const paths: [string, AddressPath][] = [
  ['/ip4/127.0.0.1/tcp/4001', 'loopback'],
  ['/ip4/127.8.9.10/tcp/4001', 'loopback'],
  ['/ip6/::1/tcp/4001', 'loopback'],
  ['/ip4/10.1.2.3/tcp/4001', 'lan'],
  ['/ip4/172.31.0.1/tcp/4001', 'lan'],
  ['/ip4/172.32.0.1/tcp/4001', 'direct'],
  ['/ip4/192.168.1.1/tcp/4001', 'lan'],
  ['/ip4/169.254.1.1/tcp/4001', 'lan'],
  ['/ip6/fd00::1/tcp/4001', 'lan'],
  ['/ip6zone/eth0/ip6/fe80::1/tcp/4001', 'lan'],
  ['/ip6/2001:db8::1/tcp/4001', 'direct'],
  [`/ip4/203.0.113.1/tcp/4001/p2p/${PEER}`, 'direct'],
  ['/dns4/seed.example/tcp/4001', 'direct'],
  ['no multiaddr', 'direct'],
]
for (const [address, path] of paths) {
  test(`${address} is ${path}`, () => {
    assert.equal(pathOf(address), path)
  })
}

test('others are told of addresses that they can dial, and of this machine alone where there are none', () => {
  const here = ['/ip4/127.0.0.1/tcp/1', '/ip6/::1/tcp/1']
  const elsewhere = ['/dns4/seed.example/tcp/1', '/ip4/203.0.113.1/tcp/1', '/ip4/192.168.1.1/tcp/1']
  const linkLocal = ['/ip6/fe80::1/tcp/1', '/ip4/169.254.1.1/tcp/1']
  assert.deepEqual(dialableByOthers([...elsewhere, ...linkLocal, ...here]), elsewhere)
  assert.deepEqual(dialableByOthers(here), here)
  assert.deepEqual(dialableByOthers([...linkLocal, ...here]), here)
  assert.deepEqual(dialableByOthers([]), [])
})

test('addresses of one party are in one group: the same IPv4 address, the same /64', () => {
  const group = (address: string) => ipGroupOf(multiaddr(address))
  assert.equal(group('/ip4/203.0.113.1/tcp/1'), group('/ip4/203.0.113.1/tcp/2'))
  assert.notEqual(group('/ip4/203.0.113.1/tcp/1'), group('/ip4/203.0.113.2/tcp/1'))
  assert.equal(group('/ip6/2001:db8::1/tcp/1'), group('/ip6/2001:db8:0:0:ffff::2/tcp/1'))
  assert.notEqual(group('/ip6/2001:db8::1/tcp/1'), group('/ip6/2001:db8:0:1::1/tcp/1'))
  assert.equal(group('/dns4/seed.example/tcp/1'), undefined)
})

test('ports and peer ids are read and put in', () => {
  const address = multiaddr('/ip4/127.0.0.1/tcp/4001')
  assert.equal(tcpPortOf(address), 4001)
  assert.equal(tcpPortOf(multiaddr('/ip4/127.0.0.1/udp/4001/quic-v1')), undefined)
  assert.equal(withTcpPort(address, 0).toString(), '/ip4/127.0.0.1/tcp/0')
  assert.equal(peerIdIn(address), undefined)
  const full = withPeerId(address, PEER)
  assert.equal(full.toString(), `/ip4/127.0.0.1/tcp/4001/p2p/${PEER}`)
  assert.equal(peerIdIn(full), PEER)
  assert.equal(withPeerId(full, PEER), full)
})
