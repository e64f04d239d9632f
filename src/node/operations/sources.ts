/**
 * Where a download may come from: the peers that were named, and those that routing finds, all looked for at once and
 * again while there are few. Says in the end why nobody gives anything. Used by `get.ts`.
 */

import type { CID } from 'multiformats/cid'
import { sleep } from '../../common/abort.ts'
import { messageOf, P2PError } from '../../common/errors.ts'
import type { OnProgress } from '../../common/progress.ts'
import { counted, MINUTE_MS, SECOND_MS } from '../../common/units.ts'
import type { Session, SessionEvent, Source } from '../../exchange/exchange.ts'
import type { Routing } from '../../routing/routing.ts'

/** With so many connected sources no more are looked for. */
const ENOUGH_SOURCES = 8
const SEARCH_AGAIN_MS = 5 * SECOND_MS
/** Those who begin at the same time are found by the second or third search. */
const FIRST_SEARCH_AGAIN_MS = SECOND_MS
/** Doubles while nobody takes the record. */
const FIRST_ANNOUNCE_AGAIN_MS = SECOND_MS
const ANNOUNCE_AGAIN_MS = MINUTE_MS
/** Empty searches before the download is given up, if nothing has come from anyone. */
const SEARCHES_BEFORE_GIVING_UP = 2

export interface SourcesOptions {
  root: CID
  /** Peers from the link and the command line. */
  named: Source[]
  routing: Routing
  /** Nobody is dialled but the named peers: without one of them there is nobody to ask for others. */
  isolated: boolean
  ownPeerId: string
  signal: AbortSignal
  onProgress: OnProgress
}

export class Sources {
  readonly #options: SourcesOptions
  readonly #found = new Set<string>()
  readonly #unreachable = new Map<string, string>()
  readonly #banned = new Set<string>()
  #session: Session | undefined
  #emptySearches = 0
  #searchesDone = 0
  #searching = false
  #nobodyHas = false
  #announcing = false
  /** Blocks that were said to be with nobody, since a peer has come. */
  readonly #lacking = new Set<string>()
  /** The last of the providers that could not be reached, and why. */
  #lastReason = ''
  #summary = ''

  constructor(options: SourcesOptions) {
    this.#options = options
  }

  /** True while the DHTs are being asked. */
  get searching(): boolean {
    return this.#searching
  }

  /** Starts to feed the session; ends with the signal. */
  start(session: Session): void {
    this.#session = session
    for (const source of this.#options.named) session.addSource(source)
    void this.#search(session)
  }

  /** Nobody is dialled but the peers that were named. */
  get isIsolated(): boolean {
    return this.#options.isolated
  }

  /** Whether the DHTs have been asked, and everyone who is known has been reached or cannot be. */
  get hasLooked(): boolean {
    if (this.#session === undefined || this.#searchesDone === 0) return false
    const tried = this.#triedPeers(this.#session)
    return this.#knownPeers().every((peerId) => tried.has(peerId))
  }

  /** Tells others that this node has some of the tree now; those who are told are peers to come and the seeders. */
  announce(): void {
    if (this.#announcing) return
    this.#announcing = true
    const { routing, signal } = this.#options
    const stop = routing.onFirstPeer(() => void this.#provide())
    signal.addEventListener('abort', stop, { once: true })
    void this.#provide()
  }

  onSessionEvent(event: SessionEvent): void {
    const { onProgress } = this.#options
    switch (event.type) {
      case 'peer-connected':
        this.#unreachable.delete(event.peerId)
        this.#nobodyHas = false
        this.#lacking.clear()
        break
      case 'peer-unreachable':
        if (!this.#unreachable.has(event.peerId)) {
          const isDetail = !this.#isNamed(event.peerId)
          if (isDetail) this.#lastReason = event.reason
          onProgress({ type: 'note', message: event.reason, isDetail })
        }
        this.#unreachable.set(event.peerId, event.multiaddrs[0] ?? event.peerId)
        this.#summarize()
        break
      case 'peer-gone':
        onProgress({ type: 'note', message: `Peer ${event.peerId} has gone; it is dialled again.` })
        break
      case 'peer-banned':
        this.#banned.add(event.peerId)
        onProgress({ type: 'warning', message: `Peer ${event.peerId} is not asked any more: ${event.reason}.` })
        break
      case 'nobody-has': {
        const { cid } = event
        if (!this.#lacking.has(cid)) {
          const message = `No connected peer has ${cid}; waiting for one that does.`
          onProgress({ type: 'note', message, isDetail: this.#nobodyHas })
        }
        this.#lacking.add(cid)
        this.#nobodyHas = true
      }
    }
  }

  /**
   * Why there is no point in waiting; undefined if there is.
   *
   * @param hasData - blocks have come in this download
   */
  failure({ hasData }: { hasData: boolean }): P2PError | undefined {
    const { named, root } = this.#options
    if (this.#session === undefined || this.#searchMayHelp()) return undefined
    const known = this.#knownPeers()
    const { livePeers } = this.#session
    const tried = this.#triedPeers(this.#session)
    if ((livePeers > 0 && !this.#nobodyHas) || !known.every((peerId) => tried.has(peerId))) return undefined
    // Once something has come, a peer that is out of reach now is waited for.
    if (hasData && !known.every((peerId) => this.#banned.has(peerId))) return undefined
    if (livePeers === 0 && this.#banned.size > 0) {
      return new P2PError(
        'verification',
        `Nobody left to ask: wrong blocks came from ${[...this.#banned].join(', ')}`,
        {
          hint: 'Nothing of it was kept. Ask the sender for the address of another seeder and pass it with --peer.',
        },
      )
    }
    if (livePeers === 0 && named.length > 0 && this.#found.size === 0) {
      return new P2PError('network', `Cannot reach ${[...this.#unreachable.values()].join(', ')}`, {
        hint: 'Check the address, and that "p2p serve" is running there.',
      })
    }
    const facts = [
      ...(livePeers > 0 ? [`${counted(livePeers, 'connected peer')} without it`] : []),
      ...(this.#unreachable.size > 0 ? [`${counted(this.#unreachable.size, 'peer')} out of reach`] : []),
      this.#options.isolated && livePeers === 0 ? 'no DHT could be asked' : 'the DHTs name nobody else',
    ]
    return new P2PError('no-provider', `No provider for ${root}: ${facts.join(', ')}`, {
      hint: 'Ask the sender to keep "p2p serve" running, and pass its address with --peer.',
    })
  }

  /** What is being waited for, as the end of "no new data for 60 s, …". */
  describeWait(): string {
    const live = this.#session?.livePeers ?? 0
    if (live === 0) return this.#unreachable.size > 0 ? 'no source could be reached' : 'no provider was found'
    return this.#nobodyHas
      ? `none of ${counted(live, 'connected peer')} has it`
      : `${counted(live, 'peer')} sent nothing`
  }

  #knownPeers(): string[] {
    return [...this.#options.named.map(({ peerId }) => peerId), ...this.#found]
  }

  #isNamed(peerId: string): boolean {
    return this.#options.named.some((source) => source.peerId === peerId)
  }

  /** Says in one line what has become of the providers that were found: once, and again while there is nobody to ask. */
  #summarize(): void {
    if (!this.hasLooked || (this.#summary !== '' && this.#session?.livePeers !== 0)) return
    const lost = [...this.#found].filter((peerId) => this.#unreachable.has(peerId) && !this.#isNamed(peerId)).length
    if (lost === 0) return
    const summary =
      lost === this.#found.size
        ? `No provider can be reached, of ${lost} that were found. ${this.#lastReason}`
        : `${lost} of ${this.#found.size} providers cannot be reached; --verbose says why.`
    const isNews = summary !== this.#summary
    this.#summary = summary
    if (isNews) this.#options.onProgress({ type: 'note', message: summary })
  }

  /** Those whom there is nothing more to try with. */
  #triedPeers(session: Session): Set<string> {
    const connected = session.stats().peers.filter((peer) => peer.connected)
    return new Set([...connected.map(({ peerId }) => peerId), ...this.#unreachable.keys(), ...this.#banned])
  }

  #searchMayHelp(): boolean {
    if (this.#options.isolated && this.#session?.livePeers === 0) return false
    return this.#searching || this.#emptySearches < SEARCHES_BEFORE_GIVING_UP
  }

  /** Until somebody was told. */
  async #provide(): Promise<void> {
    const { root, routing, signal, onProgress } = this.#options
    let waitMs = FIRST_ANNOUNCE_AGAIN_MS
    try {
      while ((await routing.provide(root, { signal })).peers === 0) {
        await sleep(waitMs, { signal })
        waitMs = Math.min(ANNOUNCE_AGAIN_MS, 2 * waitMs)
      }
    } catch (error) {
      if (!signal.aborted) onProgress({ type: 'note', message: `Announcing failed: ${messageOf(error)}` })
    }
  }

  async #search(session: Session): Promise<void> {
    const { root, routing, ownPeerId, signal, onProgress } = this.#options
    let waitMs = FIRST_SEARCH_AGAIN_MS
    try {
      for (;;) {
        if (session.livePeers < ENOUGH_SOURCES) {
          const before = this.#found.size
          this.#searching = true
          for await (const { peerId, multiaddrs, via } of routing.findProviders(root, { signal })) {
            if (peerId === ownPeerId) continue
            if (!this.#found.has(peerId)) {
              onProgress({ type: 'note', message: `Found provider ${peerId} (${via}).`, isDetail: true })
            }
            this.#found.add(peerId)
            session.addSource({ peerId, multiaddrs })
          }
          this.#searching = false
          this.#searchesDone++
          if (this.#found.size === before) this.#emptySearches++
          else if (before === 0) {
            const message = `Found ${counted(this.#found.size, 'provider')}; --verbose names what is found.`
            onProgress({ type: 'note', message })
          }
          this.#summarize()
        }
        await sleep(session.livePeers > 0 ? waitMs : SEARCH_AGAIN_MS, { signal })
        waitMs = Math.min(SEARCH_AGAIN_MS, 2 * waitMs)
      }
    } catch (error) {
      this.#searching = false
      this.#searchesDone++
      this.#emptySearches = SEARCHES_BEFORE_GIVING_UP
      if (!signal.aborted) onProgress({ type: 'warning', message: `The DHT search failed: ${messageOf(error)}` })
    }
  }
}
