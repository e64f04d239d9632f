/**
 * The `Api` of a repo that any number of commands use at once: the first opens it and answers the others on its socket,
 * the others run through that. When the holder ends, whoever is first opens the repo, and every call goes on there. Made
 * by the command line for each command.
 */

import { type AbortOptions, sleep } from '../common/abort.ts'
import { systemClock } from '../common/clock.ts'
import { hasCode, type P2PError } from '../common/errors.ts'
import type { OnProgress } from '../common/progress.ts'
import { formatDuration } from '../common/units.ts'
import type { WriteBytes } from '../node/api/operation.ts'
import type {
  AddOptions,
  AddResult,
  AddSource,
  Api,
  GetOptions,
  GetResult,
  OperationName,
  OptionsOf,
  ResultOf,
} from '../node/api.ts'
import type { Node, NodeOptions } from '../node/open.ts'
import { OPERATIONS } from '../node/operations.ts'
import type { Channels } from './channels.ts'
import { HolderGone, RemoteApi, SAY_WAIT_AFTER_MS } from './client.ts'
import { ReplayableInput } from './replayable-input.ts'
import type { ApiServer } from './server.ts'
import { findSocket, type SocketPlaces } from './socket.ts'
import { Told } from './told.ts'

/** Between two attempts, at random, so that those who wait do not all come at once. */
const RETRY_MS = { least: 20, most: 120 }

export interface SharedApiOptions extends Omit<NodeOptions, 'role'> {
  places: SocketPlaces
  /** Which part in the network it takes where it holds the repo. Default `client`. */
  role?: NodeOptions['role'] | undefined
  /** Called with the node once the repo is held here, before anything is done with it. */
  onHold?: ((node: Node) => Promise<void>) | undefined
}

interface Attempt {
  /** A holder that has ended had begun to answer. */
  resumed: boolean
  /** The repo is held here, so that nobody has to go on elsewhere. */
  isLast: boolean
}

export class SharedApi implements Api {
  readonly #options: SharedApiOptions
  #own: { node: Node; server: ApiServer } | undefined

  constructor(options: SharedApiOptions) {
    this.#options = options
  }

  async add(sources: AddSource[], options: AddOptions = {}): Promise<AddResult> {
    const told = new Told()
    const inputs = sources.map((source) => ('content' in source ? new ReplayableInput(source.content) : undefined))
    return await this.#withApi(options, (api, attempt) => {
      told.startOver(attempt)
      return api.add(
        sources.map((source, index) => ({ ...source, ...(inputs[index] && { content: inputs[index].read() }) })),
        {
          ...options,
          onRoot: (root) => {
            if (told.isNew(() => `${root.cid} ${root.path}`)) options.onRoot?.(root)
          },
        },
      )
    })
  }

  async get(ref: string, options: GetOptions): Promise<GetResult> {
    const { target } = options
    if (target.kind !== 'stream') {
      return await this.#withApi(options, (api, { resumed }) => api.get(ref, { ...options, resumed }))
    }
    let offset = target.offset ?? 0
    const write = async (bytes: Uint8Array) => {
      await target.write(bytes)
      offset += bytes.byteLength
    }
    return await this.#withApi(options, (api) =>
      api.get(ref, { ...options, target: { kind: 'stream', write, offset } }),
    )
  }

  async run<Name extends OperationName>(name: Name, options: OptionsOf<Name>): Promise<ResultOf<Name>> {
    const { onEvent, content, write } = options as Channels
    const { resume, ordersEvents = false } = OPERATIONS[name]
    const told = new Told()
    const input = content && new ReplayableInput(content)
    const bytes = write && new ResumedBytes(write)
    return await this.#withApi(options, (api, attempt) => {
      told.startOver(attempt)
      const canSeek = bytes !== undefined && resume !== undefined
      const startAt = canSeek ? bytes.writtenBytes : 0
      return api.run(name, {
        ...(canSeek ? resume(options, startAt) : options),
        ...(onEvent && {
          onEvent: (event: object) =>
            told.isNew(() => (ordersEvents ? '' : JSON.stringify(event))) ? onEvent(event) : undefined,
        }),
        ...(input && { content: input.read() }),
        ...(bytes && { write: bytes.writerFrom(startAt) }),
      })
    })
  }

  /** Lets go of the repo, if it is held here; calls of others go on elsewhere. */
  async close(): Promise<void> {
    const own = this.#own
    this.#own = undefined
    await own?.server.close()
    await own?.node.close()
  }

  /** @throws P2PError `repo-held` if the repo can neither be opened nor used through its holder for too long */
  async #withApi<T>(
    options: AbortOptions & { onProgress?: OnProgress | undefined },
    work: (api: Api, attempt: Attempt) => Promise<T>,
  ) {
    const { signal, onProgress } = options
    const patience = new Patience(this.#options.holdTimeoutMs, onProgress)
    let resumed = false
    for (;;) {
      signal?.throwIfAborted()
      if (this.#own !== undefined) return await work(this.#own.node, { resumed, isLast: true })
      const remote = await this.#findHolder()
      try {
        if (remote !== undefined) return await work(remote, { resumed, isLast: false })
      } catch (error) {
        if (!(error instanceof HolderGone)) throw error
        if (error.hadAnswered) {
          resumed = true
          patience.restart()
          onProgress?.({ type: 'note', message: 'The command that held the repo has ended; going on without it.' })
        }
      }
      const held = await this.#open()
      if (held === undefined) continue
      patience.check(held)
      await sleep(RETRY_MS.least + Math.random() * (RETRY_MS.most - RETRY_MS.least), { signal })
    }
  }

  async #findHolder(): Promise<Api | undefined> {
    const { location, places, holdTimeoutMs, bootstrap, seed, limits = {} } = this.#options
    const socketPath = await findSocket(location.dataDir, places)
    if (socketPath === undefined) return undefined
    return new RemoteApi({
      socketPath,
      answerTimeoutMs: holdTimeoutMs,
      network: { bootstrap, seed, limitUp: limits.up, limitDown: limits.down, limitLan: limits.lan },
      describeHolder: async () => {
        const { describeHolder } = await import('../repo/repo.ts')
        return await describeHolder(location)
      },
    })
  }

  /** Opens the repo and answers others. @returns why not, if another process holds it */
  async #open(): Promise<P2PError | undefined> {
    const { places, onHold, role = 'client', ...options } = this.#options
    const { openNode } = await import('../node/open.ts')
    let node: Node
    try {
      node = await openNode({ ...options, role, holdTimeoutMs: 0 })
    } catch (error) {
      if (hasCode(error, 'repo-held')) return error
      throw error
    }
    try {
      const { serveApi } = await import('./server.ts')
      const { location, onProgress } = options
      this.#own = { node, server: await serveApi(node, { dataDir: location.dataDir, places, onProgress }) }
      await onHold?.(node)
      return undefined
    } catch (error) {
      if (this.#own === undefined) await node.close()
      else await this.close()
      throw error
    }
  }
}

/** How long there has been neither a repo nor a holder that answers. */
class Patience {
  readonly #timeoutMs: number
  readonly #onProgress: OnProgress | undefined
  #startedMs = systemClock.monotonicMs()
  #hasSaid = false

  constructor(timeoutMs: number, onProgress: OnProgress | undefined) {
    this.#timeoutMs = timeoutMs
    this.#onProgress = onProgress
  }

  restart(): void {
    this.#startedMs = systemClock.monotonicMs()
    this.#hasSaid = false
  }

  /** Says what is waited for, once. @throws P2PError `held` when the time is up */
  check(held: P2PError): void {
    const waitedMs = systemClock.monotonicMs() - this.#startedMs
    if (waitedMs >= this.#timeoutMs) throw held
    if (this.#hasSaid || waitedMs < SAY_WAIT_AFTER_MS) return
    this.#hasSaid = true
    const message = `${held.message}; waiting up to ${formatDuration(this.#timeoutMs)}`
    this.#onProgress?.({ type: 'note', message })
  }
}

/** Bytes of a result that may start over: those which the caller has are not written again. */
class ResumedBytes {
  readonly #write: WriteBytes
  writtenBytes = 0

  constructor(write: WriteBytes) {
    this.#write = write
  }

  /** A writer for a result of which the first byte is that at `offset`. */
  writerFrom(offset: number): WriteBytes {
    let position = offset
    return async (bytes) => {
      const rest = bytes.subarray(Math.max(0, this.writtenBytes - position))
      position += bytes.byteLength
      if (rest.byteLength === 0) return
      await this.#write(rest)
      this.writtenBytes += rest.byteLength
    }
  }
}
