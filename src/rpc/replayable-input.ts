/**
 * A stream from stdin for an operation that may have to start over: what has been read is kept, up to a bound, and given
 * out again. Used by `shared-api.ts`.
 */

import { P2PError } from '../common/errors.ts'
import { formatBytes, MiB } from '../common/units.ts'

/** More is not worth its memory: then the stream can be read only once. */
const MAX_KEPT_BYTES = 32 * MiB

export class ReplayableInput {
  readonly #source: AsyncIterator<Uint8Array>
  /** Every piece so far, or none once they are too many. */
  #kept: Uint8Array[] | undefined = []
  #keptBytes = 0
  #count = 0
  /** May come only after the reader that asked for it has gone. */
  #next: Promise<IteratorResult<Uint8Array>> | undefined

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /**
   * The stream from its beginning, for one reader after the other.
   *
   * @throws P2PError `io`, when it is read, if too much had been read before
   */
  async *read(): AsyncGenerator<Uint8Array> {
    for (let index = 0; ; index++) {
      const kept = this.#kept?.[index]
      if (kept !== undefined) {
        yield kept
        continue
      }
      if (index < this.#count) throw tooLate()
      const next = await this.#pull()
      if (next.done === true) return
      yield next.value
    }
  }

  #pull(): Promise<IteratorResult<Uint8Array>> {
    this.#next ??= this.#source.next().then((next) => {
      this.#next = undefined
      if (next.done !== true) this.#keep(next.value)
      return next
    })
    return this.#next
  }

  #keep(piece: Uint8Array): void {
    this.#count++
    this.#keptBytes += piece.byteLength
    if (this.#keptBytes > MAX_KEPT_BYTES) this.#kept = undefined
    else this.#kept?.push(piece)
  }
}

function tooLate(): P2PError {
  return new P2PError(
    'io',
    `The command that held the repo has ended after more than ${formatBytes(MAX_KEPT_BYTES)} of stdin`,
    {
      hint: 'A stream cannot be read again from its beginning: run this command again.',
    },
  )
}
