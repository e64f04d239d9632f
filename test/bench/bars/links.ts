/** The measuring device itself: what the throttling and delaying proxies let through when plain sockets use them. */

import { createServer, connect as netConnect, type Server } from 'node:net'
import { MiB, SECOND_MS } from '../../../src/common/units.ts'
import { type CleanUpScope, cleanUpAfter } from '../../support/clean-up.ts'
import { type ProxyOptions, startProxy } from '../../support/proxy.ts'
import type { Bar } from '../bar.ts'
import type { Figure } from '../figures.ts'

const SECONDS = 4

const CASES: { what: string; links: (ProxyOptions & { bytesPerSecond: number })[] }[] = [
  { what: 'one link of 8 MiB/s', links: [{ bytesPerSecond: 8 * MiB }] },
  { what: 'four links of 8 MiB/s', links: [1, 2, 3, 4].map(() => ({ bytesPerSecond: 8 * MiB })) },
  { what: 'one link of 0.4 MiB/s', links: [{ bytesPerSecond: 0.4 * MiB }] },
  { what: 'one link of 25 MiB/s, 100 ms there and back', links: [{ bytesPerSecond: 25 * MiB, delayMs: 50 }] },
  { what: 'one link of 100 MiB/s, 100 ms there and back', links: [{ bytesPerSecond: 100 * MiB, delayMs: 50 }] },
]

export const links: Bar = {
  name: 'links',
  title:
    `The links of the other bars, used by plain sockets for ${SECONDS} s: share of their rate; processor time of both ` +
    'ends and the proxy, of one core',
  measure: async ({ scope, runs }) => {
    const figures: Figure[] = []
    for (const { what, links: options } of CASES) {
      const shares: number[] = []
      const loads: number[] = []
      for (let run = 0; run < runs; run++) {
        const before = process.cpuUsage()
        const startedAt = performance.now()
        shares.push(Math.min(...(await Promise.all(options.map((link) => shareThrough(scope, link))))))
        const { user, system } = process.cpuUsage(before)
        loads.push((user + system) / 1000 / (performance.now() - startedAt))
      }
      figures.push({ what, unit: 'share', values: shares, target: { atLeast: 0.99 } })
      figures.push({ what: `${what}: processor time`, unit: 'share', values: loads, target: { atMost: 0.5 } })
    }
    return figures
  },
}

/** Sends for some seconds. @returns the rate of arrival, from the first byte on, as a share of the link's */
async function shareThrough(scope: CleanUpScope, link: ProxyOptions & { bytesPerSecond: number }): Promise<number> {
  const byteCount = Math.round(link.bytesPerSecond * SECONDS)
  const targetPort = await startSender(scope, byteCount)
  const proxy = await startProxy(scope, { ...link, targetPort })
  let firstAt = 0
  await new Promise<void>((resolve, reject) => {
    const socket = netConnect(proxy.port, '127.0.0.1')
    socket.once('data', () => {
      firstAt = performance.now()
    })
    socket.on('end', resolve).on('error', reject).resume()
  })
  return byteCount / link.bytesPerSecond / ((performance.now() - firstAt) / SECOND_MS)
}

async function startSender(scope: CleanUpScope, byteCount: number): Promise<number> {
  const zeros = Buffer.alloc(MiB)
  const server: Server = createServer(async (socket) => {
    // The proxy may be cut before it has passed on that the other end has closed.
    socket.on('error', () => {})
    for (let left = byteCount; left > 0; left -= zeros.byteLength) {
      if (!socket.write(zeros.subarray(0, left))) await new Promise((resolve) => socket.once('drain', resolve))
    }
    socket.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanUpAfter(scope, () => {
    server.close()
  })
  return (server.address() as { port: number }).port
}
