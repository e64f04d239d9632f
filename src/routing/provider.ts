/**
 * Keeps every root announced: all of them at start, each new one at once, all again before the records of others run
 * out, and again when there was nobody to tell and now there is. Started by `node/open.ts` for nodes that serve.
 */

import type { CID } from 'multiformats/cid'
import { abortControllerForMany } from '../common/abort.ts'
import { type Clock, systemClock } from '../common/clock.ts'
import { HOUR_MS, MINUTE_MS } from '../common/units.ts'
import { type BlockKey, blockKey } from '../dag/cid.ts'
import type { ProvideResult, Routing } from './routing.ts'

/**
 * Records live for 48 hours, so that one of two rounds may fail.
 * https://github.com/libp2p/specs/tree/master/kad-dht#content-provider-advertisement-and-discovery
 */
const RENEW_INTERVAL_MS = 22 * HOUR_MS
const RETRY_INTERVAL_MS = 10 * MINUTE_MS
/** How often the clocks are looked at: a single long timer is late by every hour that the machine sleeps. */
const CHECK_INTERVAL_MS = MINUTE_MS
const CONCURRENCY = 8
/** New roots that wait for their turn; beyond that a round announces them. */
const MAX_WAITING = 1024

export interface ProviderOptions {
  /** Every root to announce, read anew for each round. */
  roots: () => AsyncIterable<CID>
  routing: Routing
  /** `peers`: how many were told. */
  onAnnounced?: ((event: { cid: CID; peers: number }) => void) | undefined
  /** The roots could not be read or the routing failed. It is tried again within 10 minutes. */
  onError?: ((error: unknown) => void) | undefined
  clock?: Clock | undefined
  /** Calls back every `ms` milliseconds until the function it returned is called. */
  every?: ((ms: number, callback: () => void) => () => void) | undefined
}

/** How a root was announced. */
export interface Announcement {
  /** How many peers were told. */
  peers: number
  /** Milliseconds since 1970. */
  atMs: number
}

export class Provider {
  readonly #options: ProviderOptions
  readonly #clock: Clock
  readonly #stopping = abortControllerForMany()
  readonly #slots = new Slots(CONCURRENCY)
  readonly #waiting: CID[] = []
  #detach: (() => void)[] = []
  #drain: Promise<void> | undefined
  #round: Promise<void> | undefined
  #roundStarted: { monotonicMs: number; wallMs: number } | undefined
  /** Another round was asked for while one was running. */
  #roundAgain = false
  /** Since the last round began, a root could not be told to a part of the routing that had no peers. */
  #wantsFirstPeer = false
  #firstPeers = 0
  /** Since the last round began, an announcement failed. */
  #wantsRetry = false
  /** How the last announcement of each root went. */
  readonly #announcements = new Map<BlockKey, Announcement & { round: number }>()
  #rounds = 0

  constructor(options: ProviderOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  /** Announces all roots, and goes on until `stop`. */
  start(): void {
    const every = this.#options.every ?? repeatUnref
    this.#detach = [
      this.#options.routing.onFirstPeer(() => {
        this.#firstPeers++
        if (this.#wantsFirstPeer) this.#startRound()
      }),
      every(CHECK_INTERVAL_MS, () => {
        if (this.#round === undefined && this.#isDue()) this.#startRound()
      }),
    ]
    this.#startRound()
  }

  /** Announces a root that is new. */
  announce(cid: CID): void {
    if (this.#stopping.signal.aborted) return
    if (this.#waiting.length >= MAX_WAITING) {
      this.#startRound()
      return
    }
    this.#waiting.push(cid)
    this.#drain ??= this.#announceWaiting().finally(() => {
      this.#drain = undefined
    })
  }

  /** How a root was announced last; undefined if it has not been. */
  announcementOf(cid: CID): Announcement | undefined {
    return this.#announcements.get(blockKey(cid))
  }

  /** When all roots are announced again at the latest, in milliseconds since 1970. */
  nextRoundAtMs(): number {
    return (this.#roundStarted?.wallMs ?? this.#clock.wallMs()) + this.#intervalMs()
  }

  /** Ends what is under way and waits for it. */
  async stop(): Promise<void> {
    for (const detach of this.#detach) detach()
    this.#waiting.length = 0
    this.#stopping.abort()
    await Promise.all([this.#round, this.#drain])
    await this.#slots.whenAllFree()
  }

  #isDue(): boolean {
    if (this.#roundStarted === undefined) return true
    // Whichever clock has gone further: the monotonic one may stand still while the machine sleeps, the other one may
    // be set back.
    const elapsedMs = Math.max(
      this.#clock.monotonicMs() - this.#roundStarted.monotonicMs,
      this.#clock.wallMs() - this.#roundStarted.wallMs,
    )
    return elapsedMs >= this.#intervalMs()
  }

  #intervalMs(): number {
    return this.#wantsRetry ? RETRY_INTERVAL_MS : RENEW_INTERVAL_MS
  }

  #startRound(): void {
    if (this.#stopping.signal.aborted) return
    if (this.#round !== undefined) {
      this.#roundAgain = true
      return
    }
    this.#roundAgain = false
    this.#wantsFirstPeer = false
    this.#wantsRetry = false
    this.#rounds++
    this.#roundStarted = { monotonicMs: this.#clock.monotonicMs(), wallMs: this.#clock.wallMs() }
    this.#round = this.#announceRoots().finally(() => {
      this.#round = undefined
      if (this.#roundAgain) this.#startRound()
    })
  }

  async #announceRoots(): Promise<void> {
    try {
      for await (const cid of this.#options.roots()) {
        await this.#slots.take()
        if (this.#stopping.signal.aborted) {
          this.#slots.free()
          return
        }
        void this.#announceInSlot(cid)
      }
      // Only then is it known whether the round has to be run again.
      await this.#slots.whenAllFree()
      this.#forgetFormerRoots()
    } catch (error) {
      this.#wantsRetry = true
      this.#options.onError?.(error)
    }
  }

  async #announceWaiting(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.#slots.take()
      const cid = this.#waiting.shift()
      if (cid === undefined) this.#slots.free()
      else void this.#announceInSlot(cid)
    }
  }

  async #announceInSlot(cid: CID): Promise<void> {
    let result: ProvideResult = { peers: 0, again: 'later' }
    const firstPeersBefore = this.#firstPeers
    try {
      result = await this.#options.routing.provide(cid, { signal: this.#stopping.signal })
    } catch (error) {
      if (!this.#stopping.signal.aborted) this.#options.onError?.(error)
    } finally {
      this.#slots.free()
    }
    if (this.#stopping.signal.aborted) return
    if (result.again === 'first-peer') {
      this.#wantsFirstPeer = true
      // The peer that this waits for may have come meanwhile.
      if (this.#firstPeers !== firstPeersBefore) this.#startRound()
    }
    if (result.again === 'later') this.#wantsRetry = true
    this.#announcements.set(blockKey(cid), {
      peers: result.peers,
      atMs: this.#clock.wallMs(),
      round: this.#rounds,
    })
    this.#options.onAnnounced?.({ cid, peers: result.peers })
  }

  /** What a whole round did not come upon is no root any more. */
  #forgetFormerRoots(): void {
    if (this.#stopping.signal.aborted) return
    for (const [key, { round }] of this.#announcements) if (round < this.#rounds) this.#announcements.delete(key)
  }
}

/** So many announcements at a time, taken in turn. */
class Slots {
  readonly #total: number
  readonly #queue: (() => void)[] = []
  #taken = 0
  #whenAllFree: (() => void)[] = []

  constructor(total: number) {
    this.#total = total
  }

  async take(): Promise<void> {
    if (this.#taken < this.#total) {
      this.#taken++
      return
    }
    await new Promise<void>((resolve) => this.#queue.push(resolve))
  }

  free(): void {
    const next = this.#queue.shift()
    if (next !== undefined) {
      next()
      return
    }
    this.#taken--
    if (this.#taken > 0) return
    for (const resolve of this.#whenAllFree.splice(0)) resolve()
  }

  async whenAllFree(): Promise<void> {
    if (this.#taken === 0) return
    await new Promise<void>((resolve) => this.#whenAllFree.push(resolve))
  }
}

function repeatUnref(ms: number, callback: () => void): () => void {
  const timer = setInterval(callback, ms)
  timer.unref()
  return () => clearInterval(timer)
}
