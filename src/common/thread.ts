/**
 * A thread beside this one, which answers requests in their order. Worth it for many system calls, since there calls that
 * wait cost a fraction of those that come back later, and for work that takes long. Started by the first request.
 */

import { type TransferListItem, Worker } from 'node:worker_threads'
import { P2PError } from './errors.ts'

/** For what is short-lived, which is most of what threads make; left alone, V8 takes three times as much in each. */
const YOUNG_MIB = 16

interface Asked<Answer> {
  resolve: (answer: Answer) => void
  reject: (error: P2PError) => void
}

export class Thread<Request, Answer> {
  readonly #script: URL
  readonly #asked: Asked<Answer>[] = []
  #worker: Worker | undefined

  /** @param script - posts one message for each that it gets */
  constructor(script: URL) {
    this.#script = script
  }

  get isRunning(): boolean {
    return this.#worker !== undefined
  }

  /** Requests that have no answer yet. */
  get waiting(): number {
    return this.#asked.length
  }

  /**
   * @param transferred - what of the request is moved, not copied
   * @throws P2PError `internal` if the thread has ended without an answer
   */
  async ask(request: Request, transferred: TransferListItem[] = []): Promise<Answer> {
    this.#worker ??= this.#start()
    this.#worker.postMessage(request, transferred)
    return await new Promise((resolve, reject) => {
      this.#asked.push({ resolve, reject })
    })
  }

  /** Nothing may be asked for any more. */
  async close(): Promise<void> {
    await this.#worker?.terminate()
    this.#worker = undefined
  }

  #start(): Worker {
    const worker = new Worker(this.#script, { resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB } })
    let cause: unknown
    worker.on('message', (answer: Answer) => this.#asked.shift()?.resolve(answer))
    worker.on('error', (error) => {
      cause = error
    })
    worker.on('exit', () => {
      if (this.#worker === worker) this.#worker = undefined
      const error = new P2PError('internal', 'A thread beside this one has ended', { cause })
      for (const { reject } of this.#asked.splice(0)) reject(error)
    })
    return worker
  }
}
