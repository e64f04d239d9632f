import assert from 'node:assert/strict'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { after, before, describe, it } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { PlainProgress } from '../../src/cli/plain-progress.ts'
import { Output } from '../../src/cli/render.ts'
import { P2PError } from '../../src/common/errors.ts'
import type { GetProgress } from '../../src/common/progress.ts'

// The timers of progress do not keep a process alive; here nothing else does.
let keepAlive: NodeJS.Timeout
before(() => {
  keepAlive = setInterval(() => {}, 60_000)
})
after(() => clearInterval(keepAlive))

const QUIET_FLAGS = { json: false, quiet: false, verbose: false, progress: false, color: false }

function event(changes: Partial<GetProgress> = {}): GetProgress {
  return {
    type: 'progress',
    phase: 'downloading',
    bytes: 0,
    totalBytes: 100,
    bytesPerSecond: 0,
    etaSeconds: null,
    duplicateBytes: 0,
    heldBackBy: null,
    peers: [],
    ...changes,
  }
}

function makeOutput(flags: Partial<typeof QUIET_FLAGS> = {}, { isTTY = false } = {}) {
  const stdout = new PassThrough({ encoding: 'utf8' })
  const stderr = Object.assign(new PassThrough({ encoding: 'utf8' }), { isTTY, columns: 100, rows: 20 })
  const output = new Output({ stdout, stderr, flags: { ...QUIET_FLAGS, ...flags }, isDumbTerminal: false })
  const text = (stream: PassThrough): string => stream.read() ?? ''
  const events = () =>
    text(stdout)
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))
  return { output, stdout, stderr, text, events }
}

const OUTCOME = { result: { cid: 'bafy' }, summary: ['Saved.'], problems: ['x is left out'] }

describe('text output', () => {
  it('puts results alone on stdout', () => {
    const { output, stdout, stderr, text } = makeOutput()
    output.resultLine('bafy')
    output.event('root', { cid: 'bafy' })
    output.onProgress({ type: 'note', message: 'a note' })
    assert.equal(output.finish(OUTCOME), 0)
    assert.equal(text(stdout), 'bafy\n')
    assert.equal(text(stderr), 'a note\nSaved.\nwarning: x is left out\n')
  })

  it('leaves out details, unless they are asked for', () => {
    for (const { flags, expected } of [
      { flags: {}, expected: '' },
      { flags: { verbose: true }, expected: 'a detail\n' },
    ]) {
      const { output, stderr, text } = makeOutput(flags)
      output.onProgress({ type: 'note', message: 'a detail', isDetail: true })
      assert.equal(text(stderr), expected)
    }
    const { output, events } = makeOutput({ json: true })
    output.onProgress({ type: 'note', message: 'a detail', isDetail: true })
    assert.equal(events().length, 1)
  })

  it('leaves only results, warnings and errors with --quiet', () => {
    const { output, stdout, stderr, text } = makeOutput({ quiet: true })
    output.resultLine('bafy')
    output.say('a note')
    output.warn('a warning')
    output.finish(OUTCOME)
    assert.equal(text(stdout), 'bafy\n')
    assert.equal(text(stderr), 'warning: a warning\nwarning: x is left out\n')
  })

  it('prints message and hint of a failure, and its causes with --verbose', () => {
    const cause = new Error('the disk is gone')
    const error = new P2PError('io', 'Cannot write x', { hint: 'Look at the disk.', cause })
    const plain = makeOutput()
    plain.output.fail(error, 6)
    assert.equal(plain.text(plain.stderr), 'error: Cannot write x\nhint: Look at the disk.\n')
    const verbose = makeOutput({ verbose: true })
    verbose.output.fail(error, 6)
    assert.match(verbose.text(verbose.stderr), /\ncause: Error: the disk is gone\n +at /)
  })

  it('gives the exit code of a failure that comes with a result', () => {
    const { output } = makeOutput()
    assert.equal(output.finish({ ...OUTCOME, failure: new P2PError('partial', 'Not all of it') }), 10)
  })

  it('lets no text move the cursor or start a line', () => {
    const { output, stderr, text } = makeOutput()
    output.warn('a\u001b[2Jb\nerror: c')
    assert.equal(text(stderr), 'warning: a\\u{1b}[2Jb\\u{a}error: c\n')
  })
})

describe('--json', () => {
  it('makes every fact an event with v, type and ts, and keeps stderr empty', () => {
    const { output, stderr, events, text } = makeOutput({ json: true })
    output.resultLine('bafy')
    output.event('root', { cid: 'bafy' })
    output.say('a note')
    output.warn('a warning')
    output.finish(OUTCOME)
    const written = events()
    assert.deepEqual(
      written.map(({ type }) => type),
      ['root', 'note', 'warning', 'result'],
    )
    for (const { v, ts } of written) {
      assert.equal(v, 1)
      assert.equal(new Date(ts).toISOString(), ts)
    }
    const { ts, ...result } = written.at(-1)
    assert.deepEqual(result, { v: 1, type: 'result', exitCode: 0, cid: 'bafy' })
    assert.equal(text(stderr), '')
  })

  it('ends a partial result with its exit code and reason', () => {
    const { output, events } = makeOutput({ json: true })
    output.finish({ ...OUTCOME, failure: new P2PError('partial', 'Not all of it') })
    const { ts, ...result } = events().at(-1)
    assert.deepEqual(result, {
      v: 1,
      type: 'result',
      exitCode: 10,
      code: 'partial',
      message: 'Not all of it',
      cid: 'bafy',
    })
  })

  it('ends a failure with an error event', () => {
    const { output, events } = makeOutput({ json: true })
    output.fail(new P2PError('no-provider', 'Nobody has it'), 3)
    const { ts, ...error } = events().at(-1)
    assert.deepEqual(error, {
      v: 1,
      type: 'error',
      code: 'no-provider',
      message: 'Nobody has it',
      hint: null,
      exitCode: 3,
    })
  })

  it('thins out a flood of progress, repeats the latest in a silence, and ends with the last', async () => {
    const { output, stdout, events } = makeOutput({ json: true, progress: true })
    for (let bytes = 0; bytes <= 99; bytes++) output.onProgress(event({ bytes }))
    assert.deepEqual(
      events().map(({ bytes }) => bytes),
      [0],
    )
    await once(stdout, 'readable')
    assert.deepEqual(
      events().map(({ bytes }) => bytes),
      [99],
    )
    await once(stdout, 'readable')
    const [repeated] = events()
    assert.equal(repeated.bytes, 99)
    output.onProgress(event({ bytes: 100 }))
    output.finish(OUTCOME)
    assert.deepEqual(
      events().map(({ type, bytes }) => [type, bytes]),
      [
        ['progress', 100],
        ['result', undefined],
      ],
    )
  })
})

describe('progress on a terminal', () => {
  it('draws over itself, makes room for other lines, and is gone at the end', async () => {
    const { output, stderr, text } = makeOutput({ progress: true }, { isTTY: true })
    output.onProgress(event({ bytes: 25 }))
    await once(stderr, 'readable')
    assert.match(stripVTControlCharacters(text(stderr)), /^Downloading .* 25\.0 % .*\n$/)
    output.onProgress(event({ bytes: 50 }))
    await once(stderr, 'readable')
    assert.ok(text(stderr).startsWith('\u001b[1A\rDownloading'))
    output.warn('look')
    assert.equal(text(stderr), '\u001b[1A\r\u001b[Jwarning: look\n')
    await once(stderr, 'readable')
    assert.match(stripVTControlCharacters(text(stderr)), /^Downloading .* 50\.0 % /)
    output.finish({ result: {}, summary: ['Saved.'] })
    assert.equal(text(stderr), '\u001b[1A\r\u001b[JSaved.\n')
    output.onProgress(event({ bytes: 75 }))
    assert.equal(text(stderr), '')
  })
})

describe('progress in a log', () => {
  function makeProgress() {
    let nowMs = 0
    const lines: string[] = []
    const clock = { monotonicMs: () => nowMs, wallMs: () => nowMs }
    const progress = new PlainProgress((line) => lines.push(line), clock)
    const at = (ms: number, changes: Partial<GetProgress>) => {
      nowMs = ms
      progress.update(event(changes))
      return lines.splice(0)
    }
    return { at, stop: () => progress.stop() }
  }

  it('says nothing in the first second', () => {
    const { at, stop } = makeProgress()
    assert.deepEqual(at(0, { bytes: 1 }), [])
    assert.deepEqual(at(999, { bytes: 100 }), [])
    stop()
  })

  it('has a line per phase, per 10 % and per 10 s', () => {
    const { at, stop } = makeProgress()
    const counts = [
      at(1000, { phase: 'finding-providers', totalBytes: null }),
      at(1500, { phase: 'finding-providers', totalBytes: null }),
      at(2000, { bytes: 1 }),
      at(2100, { bytes: 9 }),
      at(2200, { bytes: 10 }),
      at(2300, { bytes: 19 }),
      at(12_100, { bytes: 19 }),
      at(12_200, { bytes: 19 }),
      at(12_300, { bytes: 20 }),
    ].map((lines) => lines.length)
    assert.deepEqual(counts, [1, 0, 1, 0, 1, 0, 0, 1, 1])
    stop()
  })
})
