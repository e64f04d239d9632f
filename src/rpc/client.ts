/**
 * The `Api` of a repo that another process holds, through its socket. Needs no more than Node, so that a small command
 * starts fast. Used by `shared-api.ts`, which goes on elsewhere when the holder ends.
 *
 * `protocol.ts` tells what is said.
 */

import { request as httpRequest, type IncomingMessage } from 'node:http'
import { raceAbort, sleep } from '../common/abort.ts'
import { errnoOf, localIoError, P2PError } from '../common/errors.ts'
import type { ProgressEvent } from '../common/progress.ts'
import { formatDuration, SECOND_MS } from '../common/units.ts'
import type {
  AddOptions,
  AddResult,
  AddSource,
  Api,
  GetOptions,
  GetResult,
  GetTarget,
  OperationName,
  OptionsOf,
  ResultOf,
} from '../node/api.ts'
import { OPERATIONS, optionKinds } from '../node/operations.ts'
import { ADD_OPTIONS, GET_OPTIONS, type WireSource, type WireTarget } from './calls.ts'
import type { Channels } from './channels.ts'
import { encodeContentHeader, encodeFrame, type Frame, readFrames } from './frames.ts'
import type { NetworkWishes } from './network-wishes.ts'
import {
  CONTENT_TYPE,
  callPath,
  decodeError,
  encodeStreamError,
  MAX_ADD_CALL_BYTES,
  MAX_ANSWER_LINE_BYTES,
  MAX_CALL_BYTES,
  MAX_SILENCE_MS,
} from './protocol.ts'
import { pickValues } from './values.ts'

/** A wait that is shorter is not worth a word. */
export const SAY_WAIT_AFTER_MS = SECOND_MS

/** There is no holder at the socket any more. What was asked for may go on elsewhere. */
export class HolderGone extends Error {
  /** True if it had begun to answer. */
  readonly hadAnswered: boolean

  constructor({ hadAnswered, cause }: { hadAnswered: boolean; cause?: unknown }) {
    super('The command that held the repo has ended', { cause })
    this.hadAnswered = hadAnswered
  }
}

export interface RemoteApiOptions {
  socketPath: string
  /** How long to wait for a holder that does not begin to answer, in milliseconds. */
  answerTimeoutMs: number
  /** Names the holder, for messages. */
  describeHolder: () => Promise<string>
  /** What this command was told about the network. */
  network: NetworkWishes
}

interface Call extends Channels {
  arguments: Frame
  maxBytes: number
}

/** Every method rejects with {@link HolderGone} when the holder ends before it has answered. */
export class RemoteApi implements Api {
  readonly #options: RemoteApiOptions

  constructor(options: RemoteApiOptions) {
    this.#options = options
  }

  async add(sources: AddSource[], options: AddOptions = {}): Promise<AddResult> {
    const { signal, onProgress, onRoot } = options
    return (await this.#call('add', {
      arguments: { sources: sources.map(wireSource), options: pickValues(options, ADD_OPTIONS) },
      maxBytes: MAX_ADD_CALL_BYTES,
      signal,
      onProgress,
      onEvent: onRoot as Channels['onEvent'],
      content: sources.find((source) => 'content' in source)?.content,
    })) as AddResult
  }

  async get(ref: string, options: GetOptions): Promise<GetResult> {
    const { target, signal, onProgress } = options
    return (await this.#call('get', {
      arguments: {
        ref,
        target: wireTarget(target),
        options: pickValues(options, GET_OPTIONS),
        network: this.#wishesOf(options),
      },
      maxBytes: MAX_CALL_BYTES,
      signal,
      onProgress,
      write: target.kind === 'stream' ? target.write : undefined,
    })) as GetResult
  }

  async run<Name extends OperationName>(name: Name, options: OptionsOf<Name>): Promise<ResultOf<Name>> {
    const { maxCallBytes = MAX_CALL_BYTES, usesNetwork = false } = OPERATIONS[name]
    const { signal, onProgress, onEvent, content, write } = options as Channels
    return (await this.#call(name, {
      arguments: {
        options: pickValues(options, optionKinds(name)),
        content: content !== undefined,
        network: usesNetwork && !isOffline(options) ? this.#wishes() : undefined,
      },
      maxBytes: maxCallBytes,
      signal,
      onProgress,
      onEvent,
      content,
      write,
    })) as ResultOf<Name>
  }

  async close(): Promise<void> {}

  /** Nothing without the network, and nothing about seeding where nothing is kept that could be given. */
  #wishesOf({ offline, target }: GetOptions): NetworkWishes | undefined {
    if (offline === true) return undefined
    const { seed } = this.#options.network
    return target.kind === 'stream' && seed === true ? this.#wishes() : { seed, ...this.#wishes() }
  }

  #wishes(): NetworkWishes {
    const { seed: _, ...others } = this.#options.network
    return others
  }

  async #call(operation: string, call: Call): Promise<unknown> {
    call.signal?.throwIfAborted()
    const line = encodeFrame(call.arguments)
    if (Buffer.byteLength(line) > call.maxBytes) {
      throw new P2PError('limit', 'The command line is too long for the command that holds the repo', {
        hint: 'Name a folder instead of what is in it, or wait until the other command has ended.',
      })
    }
    const ended = new AbortController()
    const http = httpRequest({
      socketPath: this.#options.socketPath,
      path: callPath(operation),
      method: 'POST',
      agent: false,
      // The holder must not close while it is still being sent a stream that it does not want: the answer would be lost.
      headers: { 'content-type': CONTENT_TYPE, connection: 'keep-alive' },
    })
    const cancel = () => http.destroy()
    call.signal?.addEventListener('abort', cancel, { once: true })
    try {
      const answered = new Promise<IncomingMessage>((resolve, reject) => {
        http.once('response', resolve)
        // Later ones show as the end of the answer.
        http.on('error', (error) => reject(connectionError(error, { hadAnswered: false })))
      })
      http.write(line)
      if (call.content === undefined) http.end()
      else void this.#send(call.content, http, ended.signal)
      return await this.#read(await this.#answerTo(answered, call), call)
    } catch (error) {
      call.signal?.throwIfAborted()
      throw error
    } finally {
      call.signal?.removeEventListener('abort', cancel)
      ended.abort()
      http.destroy()
    }
  }

  /** Sends a stream, as fast as it is taken. */
  async #send(content: AsyncIterable<Uint8Array>, http: ReturnType<typeof httpRequest>, ended: AbortSignal) {
    const pieces = content[Symbol.asyncIterator]()
    const write = (data: Uint8Array | string) =>
      new Promise<void>((resolve, reject) => {
        http.write(data, (error) => (error ? reject(error) : resolve()))
      })
    try {
      for (;;) {
        const next = await raceAbort(pieces.next(), { signal: ended })
        if (next.done === true) break
        if (next.value.byteLength === 0) continue
        http.write(encodeContentHeader(next.value.byteLength))
        await raceAbort(write(next.value), { signal: ended })
      }
      http.end(encodeFrame({ type: 'end' }))
    } catch (error) {
      if (!ended.aborted) http.end(encodeFrame(encodeStreamError(error)))
    } finally {
      // A stream that waits for more does not answer before it comes, so nothing waits for this.
      pieces.return?.().catch(() => {})
    }
  }

  async #answerTo(answered: Promise<IncomingMessage>, { onProgress }: Call): Promise<IncomingMessage> {
    const { answerTimeoutMs, describeHolder } = this.#options
    const sayAfterMs = Math.min(SAY_WAIT_AFTER_MS, answerTimeoutMs)
    const first = await within(answered, sayAfterMs)
    if (first !== undefined) return first
    const held = `The repo is held by ${await describeHolder()}`
    onProgress?.({ type: 'note', message: `${held}; waiting up to ${formatDuration(answerTimeoutMs)} for its answer` })
    return (await within(answered, answerTimeoutMs - sayAfterMs)) ?? this.#silent(answerTimeoutMs)
  }

  async #read(response: IncomingMessage, { onProgress, onEvent, write, signal }: Call): Promise<unknown> {
    const frames = readFrames(this.#chunksOf(response), { maxLineBytes: MAX_ANSWER_LINE_BYTES })
    for await (const received of frames) {
      if (received.kind === 'content') {
        if (write !== undefined) await raceAbort(write(received.content), { signal })
        continue
      }
      const { v, ts, type, ...fields } = received.frame
      switch (type) {
        case 'result':
          return fields.result
        case 'error':
          throw decodeError(fields)
        case 'handover':
          throw new HolderGone({ hadAnswered: true })
        case 'event':
          await raceAbort(Promise.resolve(onEvent?.(fields.event as object)), { signal })
          break
        default:
          onProgress?.({ type, ...fields } as unknown as ProgressEvent)
      }
    }
    if (response.statusCode === 200) throw new HolderGone({ hadAnswered: true })
    throw new P2PError('repo-held', `Whatever holds the repo answers with status ${response.statusCode}`)
  }

  /** Chunks as they come; a holder that neither sends one nor ends is not waited for without end. */
  async *#chunksOf(response: IncomingMessage): AsyncGenerator<Uint8Array> {
    const chunks: AsyncIterator<Uint8Array> = response[Symbol.asyncIterator]()
    for (;;) {
      const next = chunks.next().catch((error) => {
        throw connectionError(error, { hadAnswered: true })
      })
      const { done, value } = (await within(next, MAX_SILENCE_MS)) ?? (await this.#silent(MAX_SILENCE_MS))
      if (done === true) return
      yield value
    }
  }

  async #silent(ms: number): Promise<never> {
    const held = `The repo is held by ${await this.#options.describeHolder()}`
    throw new P2PError('repo-held', `${held}, which has not answered for ${formatDuration(ms)}`, {
      hint: 'End it, or use another repo with --repo <folder>.',
    })
  }
}

/** The value, or undefined if it has not come after so many milliseconds. */
async function within<T extends object>(value: Promise<T>, ms: number): Promise<T | undefined> {
  const came = new AbortController()
  const timeUp = sleep(ms, { signal: came.signal }).catch(() => {})
  try {
    return (await Promise.race([value, timeUp])) ?? undefined
  } finally {
    came.abort()
  }
}

/** What a socket says that nobody listens at any more, or whose holder was killed. */
const GONE = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'EAGAIN', 'ERR_STREAM_PREMATURE_CLOSE'])

function connectionError(error: unknown, { hadAnswered }: { hadAnswered: boolean }): Error {
  if (GONE.has(errnoOf(error) ?? '')) return new HolderGone({ hadAnswered, cause: error })
  return localIoError(error, 'speak with', 'the command that holds the repo')
}

function isOffline(options: object): boolean {
  return 'offline' in options && options.offline === true
}

function wireSource(source: AddSource): WireSource {
  return 'path' in source ? { path: source.path } : { stream: source.name }
}

function wireTarget(target: GetTarget): WireTarget {
  switch (target.kind) {
    case 'path':
      return { path: target.path }
    case 'inside':
      return { folder: target.folder }
    case 'stream':
      return { stream: { offset: target.offset ?? 0 } }
  }
}
