/**
 * How much memory messages take that have begun to arrive and are not whole: their length is announced, and reserved,
 * before their bytes come, and those may never come. Used by `network.ts`.
 */

import { P2PError } from '../common/errors.ts'
import { MiB } from '../common/units.ts'

/** Helia sends on up to 50 streams at once, a block of 1 MiB on each. */
const MAX_BYTES_PER_PEER = 64 * MiB
/** Over all peers. */
const MAX_BYTES = 192 * MiB

/** A stream, as far as it can be given up. */
interface Incoming {
  abort(error: Error): void
}

interface PeerShare {
  bytes: number
  streams: Map<Incoming, number>
}

export class UnfinishedMessages {
  readonly #shares = new Map<string, PeerShare>()
  #bytes = 0

  /**
   * A message of so many bytes begins on a stream. Where there is too much, whoever has most loses it: streams of that
   * peer are aborted, which may include this one.
   */
  begin(peerId: string, stream: Incoming, bytes: number): void {
    let share = this.#shares.get(peerId)
    if (share === undefined) {
      share = { bytes: 0, streams: new Map() }
      this.#shares.set(peerId, share)
    }
    share.streams.set(stream, bytes)
    share.bytes += bytes
    this.#bytes += bytes
    if (share.bytes > MAX_BYTES_PER_PEER) this.#drop(peerId)
    while (this.#bytes > MAX_BYTES) this.#drop(this.#largest())
  }

  /** The message on the stream is whole, or the stream is no more. */
  end(peerId: string, stream: Incoming): void {
    const share = this.#shares.get(peerId)
    const bytes = share?.streams.get(stream)
    if (share === undefined || bytes === undefined) return
    share.streams.delete(stream)
    share.bytes -= bytes
    this.#bytes -= bytes
    if (share.streams.size === 0) this.#shares.delete(peerId)
  }

  #largest(): string {
    let largest = ''
    let most = -1
    for (const [peerId, { bytes }] of this.#shares) {
      if (bytes <= most) continue
      largest = peerId
      most = bytes
    }
    return largest
  }

  #drop(peerId: string): void {
    const streams = [...(this.#shares.get(peerId)?.streams.keys() ?? [])]
    for (const stream of streams) {
      this.end(peerId, stream)
      stream.abort(new P2PError('limit', 'The peer has too many unfinished messages'))
    }
  }
}
