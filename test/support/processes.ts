/** The built `p2p` in processes of its own: started, watched through its `--json` events, and ended by process id. */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { MINUTE_MS } from '../../src/common/units.ts'
import { atExit, type CleanUpScope, cleanUpAfter } from './clean-up.ts'

/** The program under test: the one of this tree, or another installation of it named by `P2P_BINARY`. */
export const p2pBinary = process.env.P2P_BINARY ?? fileURLToPath(new URL('../../../bin/p2p.js', import.meta.url))

/** No process of a test takes this long; one that does hangs, and is killed so that the test says so. */
const TEST_LIMIT_MS = 3 * MINUTE_MS
/** Set by `node --test`. The demo and the benches take as long as they take. */
const isTest = process.env.NODE_TEST_CONTEXT !== undefined

/** An event of `--json`: one line of stdout. */
export interface P2pEvent {
  type: string
  [field: string]: unknown
}

/** The last event of a `get --json` that succeeded. */
export interface GetResultEvent extends P2pEvent {
  exitCode: number
  cid: string
  path: string | null
  stats: {
    bytes: number
    receivedBytes: number
    duplicateBytes: number
    blocks: number
    seconds: number
    peers: { peerId: string; multiaddr: string; bytes: number; blocks: number }[]
  }
}

export interface P2pOptions {
  /** Folder of the repo, configuration included. */
  repo: string
  env?: Record<string, string>
  cwd?: string
  /** Bytes for stdin, closed after them; without them stdin is empty. */
  stdin?: Iterable<Uint8Array>
  /** A command that runs the program, as `['strace', '-D']`. Has to keep the process id. */
  wrapper?: string[]
  /** `inherit` shows stderr on the terminal of the caller. Default `pipe`. */
  stderr?: 'pipe' | 'inherit'
}

export interface FinishedP2p {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: Buffer
  stderr: string
}

/** A `p2p` process that runs, or has ended. */
export class P2pProcess {
  /** Every event so far, if the process was started with `--json`. */
  readonly events: P2pEvent[] = []
  /** Settles when the process has ended and its output has been read; never rejects. */
  readonly finished: Promise<FinishedP2p>
  readonly #child: ChildProcess
  readonly #waiting = new Set<() => void>()
  #ended = false
  #stdoutBytes = 0
  #stderr = ''

  constructor(args: string[], { repo, env = {}, cwd, stdin, wrapper = [], stderr = 'pipe' }: P2pOptions) {
    const [command = '', ...rest] = [...wrapper, process.execPath, p2pBinary, ...args]
    this.#child = spawn(command, rest, {
      cwd,
      // What the user has configured must not change what a test sees, and a child is no part of the test runner.
      env: { ...withoutOwnSettings(process.env), P2P_PATH: repo, P2P_BOOTSTRAP: 'none', ...env },
      stdio: [stdin === undefined ? 'ignore' : 'pipe', 'pipe', stderr],
    })
    const child = this.#child
    const forget = atExit(() => child.kill('SIGKILL'))
    const limit = isTest ? setTimeout(() => this.#giveUp(), TEST_LIMIT_MS) : undefined
    const stdoutChunks: Buffer[] = []
    child.stdout?.on('data', (chunk: Buffer) => {
      stdoutChunks.push(chunk)
      this.#stdoutBytes += chunk.byteLength
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
    })
    if (args.includes('--json')) this.#readEvents()
    if (stdin !== undefined) this.#feed(stdin)
    this.finished = new Promise((resolve) => {
      child.on('error', (error) => {
        this.#stderr += `\n(cannot start: ${error.message})`
      })
      child.on('close', (code, signal) => {
        clearTimeout(limit)
        forget()
        this.#ended = true
        this.#wake()
        resolve({ code, signal, stdout: Buffer.concat(stdoutChunks), stderr: this.#stderr })
      })
    })
  }

  get pid(): number {
    assert.ok(this.#child.pid !== undefined, 'the process could not be started')
    return this.#child.pid
  }

  /** How much it has written to stdout so far. */
  get stdoutBytes(): number {
    return this.#stdoutBytes
  }

  get stderr(): string {
    return this.#stderr
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** The first event that fits, whether it has come or is still to come. Rejects if the process ends without it. */
  async waitForEvent(type: string, fits: (event: P2pEvent) => boolean = () => true): Promise<P2pEvent> {
    for (;;) {
      const found = this.events.find((event) => event.type === type && fits(event))
      if (found !== undefined) return found
      if (this.#ended) {
        throw new Error(`p2p ended without the awaited "${type}" event; its stderr:\n${this.#stderr}`)
      }
      await new Promise<void>((resolve) => this.#waiting.add(resolve))
    }
  }

  #giveUp(): void {
    this.#stderr += `\n(killed by the test: still running after ${TEST_LIMIT_MS} ms)`
    this.kill('SIGKILL')
  }

  #readEvents(): void {
    const { stdout } = this.#child
    if (stdout === null) return
    createInterface({ input: stdout }).on('line', (line) => {
      this.events.push(JSON.parse(line) as P2pEvent)
      this.#wake()
    })
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
  }

  #feed(chunks: Iterable<Uint8Array>): void {
    const { stdin } = this.#child
    if (stdin === null) return
    // A program that ends before it has read all its input is judged by its exit code, not by this pipe.
    stdin.on('error', () => {})
    const iterator = chunks[Symbol.iterator]()
    const writeMore = (): void => {
      for (let next = iterator.next(); ; next = iterator.next()) {
        if (next.done === true) return void stdin.end()
        if (!stdin.write(next.value)) return void stdin.once('drain', writeMore)
      }
    }
    writeMore()
  }
}

/** The environment without settings of `p2p` and of the test runner, and without colour where it is not asked for. */
function withoutOwnSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const dropped = /^(P2P_|XDG_|NODE_TEST_CONTEXT$|FORCE_COLOR$)/
  return Object.fromEntries(Object.entries(env).filter(([name]) => !dropped.test(name)))
}

/** Starts `p2p` with these arguments; it is killed when the scope ends, if it still runs then. */
export function startP2p(scope: CleanUpScope, args: string[], options: P2pOptions): P2pProcess {
  const started = new P2pProcess(args, options)
  cleanUpAfter(scope, async () => {
    started.kill('SIGKILL')
    await started.finished
  })
  return started
}

/** Runs `p2p` with these arguments to its end. */
export async function runP2p(args: string[], options: P2pOptions): Promise<FinishedP2p> {
  return await new P2pProcess(args, options).finished
}

/** Runs `p2p add` and returns the root CIDs. @throws AssertionError if it does not succeed */
export async function addPaths(repo: string, ...paths: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await runP2p(['add', ...paths], { repo })
  assert.equal(code, 0, stderr)
  return stdout.toString().trimEnd().split('\n')
}

/** Adds one path. @param args - flags of `add` @returns its CID */
export async function addPath(repo: string, path: string, ...args: string[]): Promise<string> {
  const [cid = ''] = await addPaths(repo, path, ...args)
  return cid
}

/** Runs `p2p get --json` and returns its result event. @throws AssertionError if it does not succeed */
export async function getJson(args: string[], options: P2pOptions): Promise<GetResultEvent> {
  return resultOfGet(await runP2p(['get', ...args, '--json'], options))
}

/** The result event of a `get --json` that ended. @throws AssertionError if it did not succeed */
export function resultOfGet({ code, stdout, stderr }: FinishedP2p): GetResultEvent {
  assert.equal(code, 0, stderr)
  return lastEvent(stdout) as GetResultEvent
}

/** The last line of `--json` output. */
export function lastEvent(stdout: Buffer): P2pEvent {
  return JSON.parse(stdout.toString().trimEnd().split('\n').at(-1) ?? '') as P2pEvent
}

/** A running `p2p serve`. */
export interface Serve {
  process: P2pProcess
  peerId: string
  /** The first address it can be dialled at, ending in its peer id. */
  multiaddr: string
  /** Resolves when the CID has been announced to at least one peer of the DHT. */
  announced(cid: string): Promise<void>
  /** Ends it as an operator would, by SIGTERM, and checks that it ended cleanly. */
  stop(): Promise<void>
}

/** Starts `p2p serve` on a free port of 127.0.0.1, or where `args` say, and waits until it answers. */
export async function startServe(
  scope: CleanUpScope,
  repo: string,
  args: string[] = [],
  options: Omit<P2pOptions, 'repo'> = {},
): Promise<Serve> {
  const listen = args.includes('--listen') ? [] : ['--listen', '/ip4/127.0.0.1/tcp/0']
  const serve = startP2p(scope, ['serve', ...listen, ...args, '--json'], { repo, ...options })
  const ready = (await serve.waitForEvent('ready')) as P2pEvent & { peerId: string; multiaddrs: string[] }
  return {
    process: serve,
    peerId: ready.peerId,
    multiaddr: ready.multiaddrs[0] ?? '',
    announced: async (cid) => {
      await serve.waitForEvent('announced', (event) => event.cid === cid && Number(event.peers) > 0)
    },
    stop: async () => {
      serve.kill('SIGTERM')
      const { code, signal, stderr } = await serve.finished
      assert.deepEqual({ code, signal }, { code: 0, signal: null }, stderr)
    },
  }
}
