/**
 * Answers wants: drives the engine with the blockstore and the network. Every block is hashed as it is read; one that
 * cannot be read is not reported as missing.
 */

import type { BlockStore } from '../../blockstore/blockstore.ts'
import { mapBounded } from '../../common/concurrency.ts'
import { messageOf } from '../../common/errors.ts'
import { type Block, whyRefused } from '../../dag/block.ts'
import { type BlockKey, isIdentity } from '../../dag/cid.ts'
import { encodeReply, type Message, type Presence } from '../message.ts'
import { Engine, type Lookup, type Serving } from './engine.ts'

/** Messages whose blocks are read at the same time, over all peers. */
const WORKERS = 16
/** Wants looked up in the store at the same time, per message. */
const LOOKUPS = 32

export interface ServerOptions {
  blockstore: Pick<BlockStore, 'get' | 'size'>
  send: (peerId: string, pieces: Uint8Array[]) => Promise<void>
  /** Told of blocks that should be here and cannot be read. */
  onError: (message: string) => void
}

interface ReadBlocks {
  blocks: Block[]
  presences: Presence[]
}

export class Server {
  readonly #options: ServerOptions
  readonly #engine = new Engine()
  #workers = 0
  #stopped = false

  constructor(options: ServerOptions) {
    this.#options = options
  }

  receive(peerId: string, message: Message): void {
    if (message.wants.length === 0 && !message.full) return
    const wants = message.wants.filter(({ cid }) => !isIdentity(cid))
    const lookup = this.#engine.receive(peerId, wants, message.full)
    if (lookup.wants.length > 0) void this.#lookUp(lookup)
  }

  /** A block that was not here has been stored: peers that wait for it get it or are told. @param size - bytes */
  blockArrived(key: BlockKey, size: number): void {
    for (const { peerId, presence } of this.#engine.blockArrived(key, size)) {
      void this.#send(peerId, encodeReply({ blocks: [], presences: [presence], pendingBytes: 0 }))
    }
    this.#work()
  }

  forget(peerId: string): void {
    this.#engine.forget(peerId)
  }

  stop(): void {
    this.#stopped = true
  }

  async #lookUp({ peerId, wants }: Lookup): Promise<void> {
    const presences: Presence[] = []
    await mapBounded(wants, LOOKUPS, async (want) => {
      try {
        const size = whyRefused(want.cid) === undefined ? await this.#options.blockstore.size(want.cid) : undefined
        const presence = this.#engine.found(peerId, want, size ?? null)
        if (presence !== undefined) presences.push(presence)
      } catch (error) {
        this.#options.onError(`Cannot look up ${want.cid}: ${messageOf(error)}`)
      }
    })
    if (presences.length > 0) await this.#send(peerId, encodeReply({ blocks: [], presences, pendingBytes: 0 }))
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
    const blocks: Block[] = []
    const presences: Presence[] = []
    await Promise.all(
      wants.map(async (want) => {
        try {
          const bytes = await this.#options.blockstore.get(want.cid)
          if (bytes !== undefined) blocks.push({ cid: want.cid, bytes })
          else if (want.sendDontHave) presences.push({ cid: want.cid, have: false })
        } catch (error) {
          this.#options.onError(`Cannot read ${want.cid}: ${messageOf(error)}`)
        }
      }),
    )
    return { blocks, presences }
  }

  async #deliver(serving: Serving, { blocks, presences }: ReadBlocks): Promise<void> {
    const { peerId } = serving
    const pendingBytes = this.#engine.ledgerOf(peerId)?.readyBytes ?? 0
    const sent =
      blocks.length + presences.length > 0 &&
      (await this.#send(peerId, encodeReply({ blocks, presences, pendingBytes })))
    const sentBytes = blocks.reduce((sum, { bytes }) => sum + bytes.byteLength, 0)
    this.#engine.finished(serving, sent ? sentBytes : 0, sent ? blocks.length : 0)
  }

  /** False if the peer could not be sent to; it asks again if it still wants something. */
  async #send(peerId: string, pieces: Uint8Array[]): Promise<boolean> {
    try {
      await this.#options.send(peerId, pieces)
      return true
    } catch {
      return false
    }
  }
}
