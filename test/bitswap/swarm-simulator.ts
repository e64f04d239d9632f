/**
 * Downloads of the same blocks in virtual time: every node is the real session plan and the real serving engine, and
 * only what lies between them is made up: links with a rate and a latency, and no store.
 */

import { type PlanAction, SessionPlan } from '../../src/bitswap/client/session-plan.ts'
import { WANT_BLOCK, WANT_HAVE, type WantEntry } from '../../src/bitswap/message.ts'
import { Engine } from '../../src/bitswap/server/engine.ts'
import { MiB, SECOND_MS } from '../../src/common/units.ts'
import { type BlockKey, blockKey } from '../../src/dag/cid.ts'
import { numberedBlock } from '../support/blocks.ts'

const TICK_MS = 250
/** What a download has in flight, as the exporter does. */
const WINDOW_BLOCKS = 48

export interface NodeOptions {
  id: string
  /** Bytes a second that it can send. */
  uploadRate: number
  /** Where its download begins; without it the node has everything. */
  firstBlock?: number
  startsAtMs?: number
}

export interface SimulationOptions {
  blocks: number
  blockBytes?: number
  latencyMs?: number
  storeMs?: number
}

export class Simulation {
  now = 0
  readonly cids = new Map<BlockKey, ReturnType<typeof numberedBlock>['cid']>()
  readonly keys: BlockKey[]
  readonly blockBytes: number
  readonly latencyMs: number
  /** From the arrival of a block until it can be given to others. */
  readonly storeMs: number
  readonly #nodes = new Map<string, SimulatedNode>()
  readonly #events: { at: number; order: number; run: () => void }[] = []
  #order = 0

  constructor({ blocks, blockBytes = MiB, latencyMs = 1, storeMs = 10 }: SimulationOptions) {
    this.blockBytes = blockBytes
    this.latencyMs = latencyMs
    this.storeMs = storeMs
    this.keys = Array.from({ length: blocks }, (_, index) => {
      const { cid } = numberedBlock(index)
      this.cids.set(blockKey(cid), cid)
      return blockKey(cid)
    })
  }

  add(options: NodeOptions): SimulatedNode {
    const node = new SimulatedNode(this, options)
    this.#nodes.set(options.id, node)
    return node
  }

  node(id: string): SimulatedNode | undefined {
    return this.#nodes.get(id)
  }

  /** The node leaves, and all others notice. */
  remove(id: string): void {
    this.#nodes.delete(id)
    for (const node of this.#nodes.values()) node.disconnected(id)
  }

  after(delayMs: number, run: () => void): void {
    const event = { at: this.now + delayMs, order: this.#order++, run }
    let place = this.#events.length
    while (place > 0 && this.#events[place - 1]!.at > event.at) place--
    this.#events.splice(place, 0, event)
  }

  /** Runs until every download is done, at most so long. Returns when that was. */
  run(limitMs: number): number {
    while (this.now < limitMs) {
      if ([...this.#nodes.values()].every((node) => node.isDone)) return this.now
      const event = this.#events.shift()
      if (event === undefined) break
      this.now = event.at
      event.run()
    }
    throw new Error(`not done after ${this.now} ms of virtual time`)
  }
}

export class SimulatedNode {
  readonly id: string
  sentBytes = 0
  receivedBytes = 0
  readonly #simulation: Simulation
  readonly #engine = new Engine()
  readonly #plan: SessionPlan
  readonly #has: Set<BlockKey>
  readonly #toWant: BlockKey[]
  readonly #uploadRate: number
  #uploadFreeAt = 0
  #inWindow = 0
  #missing: number
  #stepScheduled = false

  constructor(simulation: Simulation, { id, uploadRate, firstBlock, startsAtMs = 0 }: NodeOptions) {
    this.id = id
    this.#simulation = simulation
    this.#uploadRate = uploadRate
    this.#plan = new SessionPlan(id)
    const { keys } = simulation
    this.#has = new Set(firstBlock === undefined ? keys : [])
    this.#toWant = firstBlock === undefined ? [] : [...keys.slice(firstBlock), ...keys.slice(0, firstBlock)]
    this.#missing = this.#toWant.length
    if (firstBlock !== undefined) simulation.after(startsAtMs, () => this.#tick())
  }

  get isDone(): boolean {
    return this.#missing === 0
  }

  /** From now on it asks this node. */
  meet(id: string): void {
    this.#plan.addPeer(id, this.#simulation.now)
    this.#step()
  }

  disconnected(id: string): void {
    this.#plan.removePeer(id)
    this.#engine.forget(id)
    this.#step()
  }

  #tick(): void {
    if (this.isDone) return
    while (this.#inWindow < WINDOW_BLOCKS && this.#toWant.length > 0) this.#wantNext()
    this.#act()
    this.#simulation.after(TICK_MS, () => this.#tick())
  }

  #wantNext(): void {
    const { cids, blockBytes } = this.#simulation
    this.#inWindow++
    this.#plan.want(cids.get(this.#toWant.shift()!)!, blockBytes)
  }

  #step(): void {
    if (this.#stepScheduled) return
    this.#stepScheduled = true
    this.#simulation.after(0, () => {
      this.#stepScheduled = false
      this.#act()
    })
  }

  #act(): void {
    const messages = new Map<string, WantEntry[]>()
    for (const action of this.#plan.next(this.#simulation.now)) {
      const entries = messages.get(action.peerId) ?? []
      messages.set(action.peerId, entries)
      entries.push(entryOf(action))
    }
    for (const [to, entries] of messages) this.#send(to, (node) => node.#receiveWants(this.id, entries))
  }

  #send(to: string, deliver: (node: SimulatedNode) => void): void {
    this.#simulation.after(this.#simulation.latencyMs, () => {
      const node = this.#simulation.node(to)
      if (node !== undefined) deliver(node)
    })
  }

  #receiveWants(from: string, entries: WantEntry[]): void {
    const { wants } = this.#engine.receive(from, entries, false)
    for (const want of wants) {
      const presence = this.#engine.found(from, want, this.#has.has(want.key) ? this.#simulation.blockBytes : null)
      if (presence !== undefined) this.#tell(from, want.key, presence.have)
    }
    this.#serve()
  }

  #tell(to: string, key: BlockKey, have: boolean): void {
    this.#send(to, (node) => {
      if (have) node.#plan.have(this.id, key)
      else node.#plan.dontHave(this.id, key, this.#simulation.now)
      node.#step()
    })
  }

  #serve(): void {
    for (let serving = this.#engine.next(); serving !== undefined; serving = this.#engine.next()) {
      const { peerId, wants, bytes } = serving
      const sent = serving
      const { now } = this.#simulation
      this.#uploadFreeAt = Math.max(now, this.#uploadFreeAt) + (bytes / this.#uploadRate) * SECOND_MS
      this.#simulation.after(this.#uploadFreeAt - now, () => {
        this.sentBytes += bytes
        this.#engine.finished(sent, bytes, wants.length)
        for (const { key } of wants) this.#send(peerId, (node) => node.#receiveBlock(this.id, key))
        this.#serve()
      })
    }
  }

  #receiveBlock(from: string, key: BlockKey): void {
    const { blockBytes, now } = this.#simulation
    this.receivedBytes += blockBytes
    this.#plan.heard(from, blockBytes, now)
    if (this.#plan.received(from, key, blockBytes, now) === 'wanted') {
      this.#inWindow--
      this.#missing--
      if (this.#toWant.length > 0) this.#wantNext()
      this.#simulation.after(this.#simulation.storeMs, () => {
        this.#has.add(key)
        for (const { peerId } of this.#engine.blockArrived(key, blockBytes)) this.#tell(peerId, key, true)
        this.#serve()
      })
    }
    this.#step()
  }
}

function entryOf({ type, cid }: PlanAction): WantEntry {
  const wantType = type === 'probe' ? WANT_HAVE : WANT_BLOCK
  return { cid, cancel: type === 'cancel', wantType, priority: 1, sendDontHave: type !== 'cancel' }
}
