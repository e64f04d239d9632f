/**
 * Blocks that were put and could not be made durable: until they are put again, nobody who may rely on one of them passes
 * the barrier. Used by `barrier.ts` and `pack-store.ts`.
 */

import type { P2PError } from '../common/errors.ts'

interface LostBlock {
  error: P2PError
  /** Some pass has failed because of it. */
  isTold: boolean
}

export class LostBlocks {
  readonly #lost = new Map<string, LostBlock>()
  readonly #isAwaited: (name: string) => Promise<boolean>

  /** @param isAwaited - whether somebody who may have put a block has not passed yet */
  constructor(isAwaited: (name: string) => Promise<boolean>) {
    this.#isAwaited = isAwaited
  }

  add(name: string, error: P2PError): void {
    this.#lost.set(name, { error, isTold: false })
  }

  /** It was put again. */
  delete(name: string): void {
    this.#lost.delete(name)
  }

  /**
   * To be called by each pass. Who has put a lost block is among those that still wait for it, or among those that are
   * told now.
   *
   * @throws P2PError - why one of them was lost
   */
  async tell(): Promise<void> {
    let failure: P2PError | undefined
    for (const [name, lost] of this.#lost) {
      if (lost.isTold && !(await this.#isAwaited(name))) {
        this.#lost.delete(name)
      } else {
        lost.isTold = true
        failure ??= lost.error
      }
    }
    if (failure !== undefined) throw failure
  }
}
