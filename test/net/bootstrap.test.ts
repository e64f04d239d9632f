import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { test } from 'node:test'
import { keepBootstrapped } from '../../src/net/bootstrap.ts'

/** A test that takes as long as this hangs. */
const TIME_LIMIT = { timeout: 60_000 }

const RETRY = { firstMs: 1, maxMs: 2 }

/** A network of named peers that can be up or down. */
function network() {
  const events = new EventEmitter()
  const up = new Set<string>()
  const connected = new Set<string>()
  const dials: string[] = []
  return {
    events,
    up,
    connected,
    dials,
    options: {
      dial: async (address: string) => {
        dials.push(address)
        events.emit('dial')
        if (!up.has(address)) throw new Error(`${address} is down`)
        connected.add(address)
        events.emit('connected')
        return address
      },
      isConnected: (peerId: string) => connected.has(peerId),
      onDisconnect: (listener: () => void) => {
        events.on('disconnect', listener)
        return () => events.off('disconnect', listener)
      },
      retry: RETRY,
    },
    disconnect(peerId: string) {
      connected.delete(peerId)
      events.emit('disconnect')
    },
  }
}

test('the whole list is dialled at once, and not again while one of it is connected', TIME_LIMIT, async () => {
  const { options, up, dials, disconnect, events, connected } = network()
  up.add('a').add('b')
  const controller = new AbortController()
  const first = once(events, 'connected')
  const ended = keepBootstrapped({ ...options, multiaddrs: ['a', 'b', 'c'] }, controller)
  await first
  assert.deepEqual(dials, ['a', 'b', 'c'])
  await new Promise(setImmediate)
  disconnect('a')
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
  assert.equal(dials.length, 3, 'b is still there')
  const again = once(events, 'connected')
  disconnect('b')
  await again
  assert.ok(connected.size > 0)
  controller.abort()
  await ended
  assert.equal(events.listenerCount('disconnect'), 0)
})

test('while none can be reached it is dialled again, and that is told once', TIME_LIMIT, async () => {
  const { options, up, dials, events } = network()
  const told: unknown[] = []
  const controller = new AbortController()
  const ended = keepBootstrapped(
    { ...options, multiaddrs: ['a'], onUnreachable: (multiaddrs, reason) => told.push([multiaddrs, String(reason)]) },
    controller,
  )
  while (dials.length < 4) await once(events, 'dial')
  const connected = once(events, 'connected')
  up.add('a')
  await connected
  assert.deepEqual(told, [[['a'], 'Error: a is down']])
  controller.abort()
  await ended
})
