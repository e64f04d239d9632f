/**
 * The holder's end of the socket: HTTP requests to calls of the one `Api`, each in its own `answer.ts`. Whatever a caller
 * sends or does not send harms that caller alone. Started by whoever opens a node: `shared-api.ts` and the server.
 *
 * `protocol.ts` tells what is said.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AbortOptions, abortControllerForMany, raceAbort, sleep } from '../common/abort.ts'
import { endsWithin } from '../common/ends-within.ts'
import { asP2PError, P2PError } from '../common/errors.ts'
import type { OnProgress } from '../common/progress.ts'
import { SECOND_MS } from '../common/units.ts'
import type { Api } from '../node/api.ts'
import type { NetworkSettings } from '../node/network-settings.ts'
import { Answer, callerHasGone } from './answer.ts'
import { findOperation, readWishes } from './calls.ts'
import { type Frame, type Received, readFrames } from './frames.ts'
import { unmetWishes } from './network-wishes.ts'
import { CONTENT_TYPE, decodeStreamError, encodeError, PROTOCOL_VERSION, parseCallPath } from './protocol.ts'
import { type Claim, claimSocket, type SocketPlaces, UntrustedPlace } from './socket.ts'

/** Nobody types a call by hand. */
const CALL_DEADLINE_MS = 10 * SECOND_MS
const MAX_CONNECTIONS = 256
/** A holder that has done its own work lets short calls of others end, rather than have them start anew elsewhere. */
const GRACE_MS = 300
/** Then they are cancelled, and this is how long they have for putting down what they did. */
const HANDOVER_MS = 4 * SECOND_MS

/** A node that is answered for. */
type ServedApi = Api & {
  /** How it takes part in the network, which is that of every caller. */
  readonly network: NetworkSettings
}

export interface ServeApiOptions {
  /** The folder of the repo, which the caller holds. */
  dataDir: string
  places: SocketPlaces
  onProgress?: OnProgress | undefined
}

/**
 * Answers on the repo's socket until it is closed. Where the system offers no sockets it warns, and goes on without.
 *
 * @throws UntrustedPlace if something of another user stands where the socket belongs
 */
export async function serveApi(api: ServedApi, { dataDir, places, onProgress }: ServeApiOptions): Promise<ApiServer> {
  const server = new ApiServer(api)
  try {
    await server.listen(await claimSocket(dataDir, places))
  } catch (error) {
    if (error instanceof UntrustedPlace) throw error
    const message = `Other commands on this repo have to wait for this one: ${asP2PError(error).message}`
    onProgress?.({ type: 'warning', message })
  }
  return server
}

/** Why a call is cancelled that has to go on elsewhere. */
const handover = new P2PError('aborted', 'The command that held the repo ends')

export class ApiServer {
  readonly #api: ServedApi
  readonly #http: Server
  readonly #ending = abortControllerForMany()
  readonly #calls = new Set<Promise<void>>()
  #claim: Claim | undefined

  constructor(api: ServedApi) {
    this.#api = api
    // Its own time limit would end a long stream from stdin; the call itself has one of ours.
    this.#http = createServer({ requestTimeout: 0, headersTimeout: CALL_DEADLINE_MS }, (request, response) => {
      const call = this.#answer(request, response).finally(() => this.#calls.delete(call))
      this.#calls.add(call)
    })
    this.#http.maxConnections = MAX_CONNECTIONS
    // A connection that cannot be accepted is the caller's loss, who asks again.
    this.#http.on('error', () => {})
  }

  async listen(claim: Claim): Promise<void> {
    this.#claim = claim
    await claim.listen(this.#http)
    // The commands that are answered keep the process alive by themselves.
    this.#http.unref()
  }

  /**
   * Takes no more calls, lets short ones end, and hands the others over to whoever opens the repo next. Returns when
   * nothing of theirs goes on here, or after a few seconds.
   */
  async close(): Promise<void> {
    await this.#claim?.release()
    this.#http.close()
    await this.#settleWithin(GRACE_MS)
    this.#ending.abort(handover)
    await this.#settleWithin(HANDOVER_MS)
    this.#http.closeAllConnections()
  }

  async #settleWithin(ms: number): Promise<void> {
    if (this.#calls.size > 0) await endsWithin(Promise.allSettled(this.#calls), ms)
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const cancel = new AbortController()
    const onEnding = () => cancel.abort(handover)
    // The connection may have been there before, and the request come only now.
    if (this.#ending.signal.aborted) onEnding()
    this.#ending.signal.addEventListener('abort', onEnding, { once: true })
    const closed = new Promise<void>((resolve) => {
      response.once('close', () => {
        cancel.abort(callerHasGone())
        resolve()
      })
    })
    // A connection that breaks shows as the end of the request and of the answer.
    request.on('error', () => {})
    response.on('error', () => {})
    try {
      await this.#run(request, response, cancel.signal)
      await closed
    } finally {
      this.#ending.signal.removeEventListener('abort', onEnding)
    }
  }

  async #run(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    let answer: Answer | undefined
    try {
      const operation = operationOf(request)
      // To stop reading must not close the connection that the answer goes out on.
      const chunks = request.iterator({ destroyOnReturn: false })
      const frames = readFrames(chunks, { maxLineBytes: operation.maxCallBytes })
      const call = await readCall(frames, { signal })
      const started = begin(response)
      answer = started
      this.#compareNetwork(call, started)
      const result = await operation.run(this.#api, call, {
        signal,
        onProgress: started.onProgress,
        onEvent: (event) => started.event(event),
        content: contentOf(frames),
        write: (bytes) => raceAbort(started.content(bytes), { signal }),
      })
      answer.end('result', { result })
    } catch (error) {
      if (signal.reason === handover) (answer ?? begin(response)).end('handover', {})
      else if (answer === undefined) refuse(response, error)
      else answer.end('error', encodeError(asP2PError(error)))
    }
  }

  /** The network of the node is up, or not, by its own settings. */
  #compareNetwork(call: Frame, { onProgress }: Answer): void {
    const wishes = readWishes(call)
    if (wishes === undefined) return
    for (const message of unmetWishes(wishes, this.#api.network)) onProgress({ type: 'warning', message })
  }
}

class Refusal extends P2PError {
  readonly status: number

  constructor(status: number, ...rest: ConstructorParameters<typeof P2PError>) {
    super(...rest)
    this.status = status
  }
}

function operationOf({ method, url = '' }: IncomingMessage) {
  const path = parseCallPath(url)
  if (path === undefined) throw new Refusal(404, 'usage', `There is nothing at ${url.slice(0, 100)}`)
  if (path.version !== PROTOCOL_VERSION) {
    throw new Refusal(
      404,
      'repo-held',
      `The command that holds the repo speaks version ${PROTOCOL_VERSION} of its protocol, not ${path.version}`,
      { hint: 'It is another version of p2p: end it, and run this command again.' },
    )
  }
  if (method !== 'POST') throw new Refusal(405, 'usage', 'Operations are called with POST')
  const operation = findOperation(path.operation)
  if (operation !== undefined) return operation
  throw new Refusal(404, 'repo-held', `The command that holds the repo does not know "${path.operation}"`, {
    hint: 'It is another version of p2p: end it, and run this command again.',
  })
}

async function readCall(frames: AsyncGenerator<Received>, { signal }: AbortOptions): Promise<Frame> {
  const patience = new AbortController()
  const tooSlow = sleep(CALL_DEADLINE_MS, { signal: patience.signal }).then(
    () => {
      throw new Refusal(408, 'timeout', 'The call did not come')
    },
    () => new Promise<never>(() => {}),
  )
  try {
    const { value } = await raceAbort(Promise.race([frames.next(), tooSlow]), { signal })
    if (value?.kind === 'frame') return value.frame
    throw new P2PError('usage', 'The request holds no call')
  } finally {
    patience.abort()
  }
}

/** The stream that follows a call. */
async function* contentOf(frames: AsyncGenerator<Received>): AsyncGenerator<Uint8Array> {
  for await (const received of frames) {
    if (received.kind === 'content') yield received.content
    else if (received.frame.type === 'end') return
    else if (received.frame.type === 'failed') throw decodeStreamError(received.frame)
  }
  throw callerHasGone()
}

function begin(response: ServerResponse): Answer {
  response.writeHead(200, { 'content-type': CONTENT_TYPE })
  response.flushHeaders()
  return new Answer(response)
}

/** Answers what is no call, and reads no more of it. */
function refuse(response: ServerResponse, error: unknown): void {
  const failure = asP2PError(error)
  const tooLong = failure.code === 'limit' ? 413 : 400
  const status = failure instanceof Refusal ? failure.status : tooLong
  response.writeHead(status, { 'content-type': CONTENT_TYPE, connection: 'close' })
  response.end(`${JSON.stringify({ v: 1, type: 'error', ...encodeError(failure) })}\n`)
}
