import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MultiaddrConnection } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { perIpGater } from '../../src/net/limits.ts'

const PEER = peerIdFromString('12D3KooWEZ1vxnNsASZj1toUo3JNhiFcWtWEMEAQbwQWUjdUDGvL')

function connectionsFrom(count: number, address: (port: number) => string) {
  return Array.from({ length: count }, (_, index) => ({ remoteAddr: multiaddr(address(1024 + index)) }))
}

const cases: { name: string; held: number; from: (port: number) => string; incoming: string; refused: boolean }[] = [
  {
    name: 'the 64th of an IP gets in',
    held: 63,
    from: (p) => `/ip4/203.0.113.1/tcp/${p}`,
    incoming: '/ip4/203.0.113.1/tcp/9',
    refused: false,
  },
  {
    name: 'the 65th of an IP does not',
    held: 64,
    from: (p) => `/ip4/203.0.113.1/tcp/${p}`,
    incoming: '/ip4/203.0.113.1/tcp/9',
    refused: true,
  },
  {
    name: 'another IP does',
    held: 64,
    from: (p) => `/ip4/203.0.113.1/tcp/${p}`,
    incoming: '/ip4/203.0.113.2/tcp/9',
    refused: false,
  },
  {
    name: 'the 65th of a /64 does not',
    held: 64,
    from: (p) => `/ip6/2001:db8::${p.toString(16)}/tcp/1`,
    incoming: '/ip6/2001:db8::1/tcp/9',
    refused: true,
  },
  {
    name: 'any number of a LAN address does',
    held: 400,
    from: (p) => `/ip4/192.168.0.2/tcp/${p}`,
    incoming: '/ip4/192.168.0.2/tcp/9',
    refused: false,
  },
  {
    name: 'any number of loopback does',
    held: 400,
    from: (p) => `/ip4/127.0.0.1/tcp/${p}`,
    incoming: '/ip4/127.0.0.1/tcp/9',
    refused: false,
  },
]
for (const { name, held, from, incoming, refused } of cases) {
  test(`of the connections to one IP, ${name}`, async () => {
    const gater = perIpGater(() => connectionsFrom(held, from))
    const connection = { remoteAddr: multiaddr(incoming) } as MultiaddrConnection
    assert.equal(await gater.denyInboundConnection?.(connection), refused)
    assert.equal(await gater.denyInboundUpgradedConnection?.(PEER, connection), refused)
  })
}
