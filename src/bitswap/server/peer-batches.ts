/**
 * Work for many peers, done for each of them one batch after the other: what comes up during a batch is the next one.
 * Used by `server.ts`, so that no peer has more under way than one batch, whatever it asks and takes back.
 */

export interface PeerBatchesOptions<Item> {
  /** Must not reject. */
  work: (peerId: string, batch: Item[]) => Promise<void>
  /** What of the waiting items is still worth the work; this bounds them. */
  keep: (peerId: string, waiting: Item[]) => Item[]
}

export class PeerBatches<Item> {
  readonly #options: PeerBatchesOptions<Item>
  /** Next batches, of peers that have one under way. */
  readonly #waiting = new Map<string, Item[]>()

  constructor(options: PeerBatchesOptions<Item>) {
    this.#options = options
  }

  add(peerId: string, items: readonly Item[]): void {
    if (items.length === 0) return
    const waiting = this.#waiting.get(peerId)
    this.#waiting.set(peerId, this.#options.keep(peerId, [...(waiting ?? []), ...items]))
    if (waiting === undefined) void this.#workOff(peerId)
  }

  async #workOff(peerId: string): Promise<void> {
    for (let batch = this.#waiting.get(peerId); batch !== undefined && batch.length > 0; ) {
      this.#waiting.set(peerId, [])
      await this.#options.work(peerId, batch)
      batch = this.#waiting.get(peerId)
    }
    this.#waiting.delete(peerId)
  }
}
