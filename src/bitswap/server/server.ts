/**
 * Answers wants: drives the engine with the blockstore and the network. Every block is hashed as it is read; one that
 * cannot be read is not reported as missing.
 */

import type { BlockStore } from '../../blockstore/blockstore.ts'
import type { BufferPool } from '../../common/buffer-pool.ts'
import type { Clock } from '../../common/clock.ts'
import { mapBounded } from '../../common/concurrency.ts'
import { hasCode, messageOf } from '../../common/errors.ts'
import { type Block, whyRefused } from '../../dag/block.ts'
import { type BlockKey, isIdentity } from '../../dag/cid.ts'
import { encodeReply, type Message, type Presence } from '../message.ts'
import { Complaints } from './complaints.ts'
import { Engine, type Serving } from './engine.ts'
import type { LedgerWant } from './ledger.ts'
import { PeerBatches } from './peer-batches.ts'

/** Messages whose blocks are read at the same time, over all peers. */
const WORKERS = 16
/** Wants looked up in the store at the same time, per peer. */
const LOOKUPS = 32
/** Presences that wait for a peer to take those before, as many as it reads of one message; the latest are kept. */
const MAX_WAITING_PRESENCES = 4096

export interface ServerOptions {
  blockstore: Pick<BlockStore, 'get' | 'size'>
  send: (peerId: string, pieces: Uint8Array[]) => Promise<void>
  /** Memory that blocks are read into; whoever sends gives back to it what is sent. */
  buffers: BufferPool
  /** Told of blocks that should be here and cannot be read: of the first in a minute. */
  onError: (message: string) => void
  clock: Clock
}

interface ReadBlocks {
  blocks: Block[]
  presences: Presence[]
}

export class Server {
  readonly #options: ServerOptions
  readonly #engine = new Engine()
  readonly #complaints: Complaints
  readonly #lookups = new PeerBatches<LedgerWant>({
    work: (peerId, wants) => this.#lookUp(peerId, wants),
    keep: (peerId, wants) => wants.filter((want) => this.#engine.stands(peerId, want)),
  })
  readonly #presences = new PeerBatches<Presence>({
    work: async (peerId, presences) => void (await this.#send(peerId, { blocks: [], presences })),
    keep: (_peerId, presences) => presences.slice(-MAX_WAITING_PRESENCES),
  })
  #workers = 0
  #stopped = false

  constructor(options: ServerOptions) {
    this.#options = options
    this.#complaints = new Complaints(options.onError, options.clock)
  }

  receive(peerId: string, message: Message): void {
    if (message.wants.length === 0 && !message.full) return
    const wants = message.wants.filter(({ cid }) => !isIdentity(cid))
    this.#lookups.add(peerId, this.#engine.receive(peerId, wants, message.full).wants)
  }

  /** A block that was not here has been stored: peers that wait for it get it or are told. @param size - bytes */
  blockArrived(key: BlockKey, size: number): void {
    for (const { peerId, presence } of this.#engine.blockArrived(key, size)) {
      this.#presences.add(peerId, [presence])
    }
    this.#work()
  }

  forget(peerId: string): void {
    this.#engine.forget(peerId)
  }

  stop(): void {
    this.#stopped = true
  }

  /** Never rejects: what cannot be looked up is reported and left out. */
  async #lookUp(peerId: string, wants: readonly LedgerWant[]): Promise<void> {
    const presences: Presence[] = []
    await mapBounded(wants, LOOKUPS, async (want) => {
      if (!this.#engine.stands(peerId, want)) return
      try {
        const size = whyRefused(want.cid) === undefined ? await this.#options.blockstore.size(want.cid) : undefined
        const presence = this.#engine.found(peerId, want, size ?? null)
        if (presence !== undefined) presences.push(presence)
      } catch (error) {
        this.#engine.notFoundOut(peerId, want)
        this.#complaints.add('Cannot look up', want.cid.toString(), messageOf(error))
      }
    })
    this.#presences.add(peerId, presences)
    this.#work()
  }

  #work(): void {
    while (!this.#stopped && this.#workers < WORKERS) {
      const serving = this.#engine.next()
      if (serving === undefined) return
      this.#workers++
      void this.#read(serving).then((reply) => {
        this.#workers--
        // A slow peer holds up nobody: only the bytes on their way to it are bounded.
        void this.#deliver(serving, reply).then(() => this.#work())
        this.#work()
      })
    }
  }

  /** Never rejects: what cannot be read is reported and left out. */
  async #read({ wants }: Serving): Promise<ReadBlocks> {
    const { blockstore, buffers } = this.#options
    const blocks: Block[] = []
    const presences: Presence[] = []
    await Promise.all(
      wants.map(async (want) => {
        try {
          const bytes = await blockstore.get(want.cid, { allocate: (length) => buffers.take(length) })
          if (bytes !== undefined) {
            buffers.lend(bytes, bytes.byteLength)
            blocks.push({ cid: want.cid, bytes })
          } else if (want.sendDontHave) presences.push({ cid: want.cid, have: false })
        } catch (error) {
          this.#complaints.add('Cannot read', want.cid.toString(), messageOf(error))
        }
      }),
    )
    return { blocks, presences }
  }

  async #deliver(serving: Serving, reply: ReadBlocks): Promise<void> {
    const { blocks, presences } = reply
    const sent = blocks.length + presences.length > 0 && (await this.#send(serving.peerId, reply))
    const sentBytes = blocks.reduce((sum, { bytes }) => sum + bytes.byteLength, 0)
    this.#engine.finished(serving, sent ? sentBytes : 0, sent ? blocks.length : 0)
  }

  /** False if the peer could not be sent to. One that takes nothing is owed nothing any more. */
  async #send(peerId: string, { blocks, presences }: ReadBlocks): Promise<boolean> {
    const pendingBytes = this.#engine.ledgerOf(peerId)?.readyBytes ?? 0
    try {
      await this.#options.send(peerId, encodeReply({ blocks, presences, pendingBytes }))
      return true
    } catch (error) {
      if (hasCode(error, 'timeout')) this.#engine.dropWants(peerId)
      return false
    }
  }
}
