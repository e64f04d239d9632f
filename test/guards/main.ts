/**
 * `npm run test:guards -- [--sample 10th] [--seed S] [text of a name…]`: takes one guard after the other out of a copy of
 * the product, and runs the tests that it is there for. Where they still pass, nothing would tell that it is gone.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { MINUTE_MS } from '../../src/common/units.ts'
import { Sample } from '../faults/sample.ts'
import { withCleanUp } from '../support/clean-up.ts'
import { makeTempDir } from '../support/temp.ts'
import { type Guard, guards } from './guards.ts'

const PROJECT = fileURLToPath(new URL('../../../', import.meta.url))
const NOT_COPIED = ['.git', 'dist', 'node_modules']
const USAGE = 'usage: npm run test:guards -- [--sample <n>th] [--seed <text>] [part of a name]…'

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { sample: { type: 'string', default: '1th' }, seed: { type: 'string' } },
    allowPositionals: true,
  })
  const oneOf = Number(/^([1-9]\d*)th$/.exec(values.sample)?.[1])
  if (Number.isNaN(oneOf)) throw new Error(USAGE)
  const seed = values.seed ?? String(Date.now())
  const named = guards.filter(({ name }) => positionals.length === 0 || positionals.some((part) => name.includes(part)))
  // One that does not fit any more is told, whether it is tried or not.
  for (const guard of guards) await withoutGuard(guard)
  const chosen = new Sample(seed, oneOf).pick('guards', named)
  console.log(`${chosen.length} of ${guards.length} guards${oneOf === 1 ? '' : `, seed ${seed}`}`)
  const survivors = await withCleanUp(async (scope) => {
    const copy = await makeTempDir(scope)
    await copyProject(copy)
    return await tryAll(copy, chosen)
  })
  console.log(`${chosen.length - survivors.length} of ${chosen.length} were missed by a test`)
  for (const name of survivors) console.log(`NOT MISSED: ${name}`)
  if (survivors.length > 0) process.exitCode = 1
}

async function copyProject(copy: string): Promise<void> {
  for (const name of await readdir(PROJECT)) {
    if (NOT_COPIED.includes(name)) continue
    // What tests have installed below it is theirs to find again.
    await cp(join(PROJECT, name), join(copy, name), {
      recursive: true,
      filter: (path) => !path.includes('node_modules'),
    })
  }
  await symlink(join(PROJECT, 'node_modules'), join(copy, 'node_modules'))
}

/** @returns the names of those that no test misses */
async function tryAll(copy: string, chosen: readonly Guard[]): Promise<string[]> {
  const tests = [...new Set(chosen.flatMap((guard) => guard.tests))]
  await build(copy, tests)
  const untouched = await runTests(copy, tests)
  if (untouched.code !== 0) throw new Error(`With all guards in place the tests fail:\n${untouched.output}`)
  const survivors: string[] = []
  for (const guard of chosen) {
    const path = join(copy, 'src', guard.file)
    const source = await readFile(path)
    await writeFile(path, await withoutGuard(guard))
    await build(copy, guard.tests)
    const startedAt = performance.now()
    const { code } = await runTests(copy, guard.tests)
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
    console.log(`  ${code === 0 ? 'NOT MISSED' : 'missed'} (${seconds} s): ${guard.name}`)
    if (code === 0) survivors.push(guard.name)
    await writeFile(path, source)
  }
  return survivors
}

/** The source of its file with the guard taken out. @throws Error if its text is not there exactly once */
async function withoutGuard({ name, file, text, replacement }: Guard): Promise<string> {
  const parts = (await readFile(join(PROJECT, 'src', file), 'utf8')).split(text)
  if (parts.length !== 2) throw new Error(`src/${file} has ${parts.length - 1} places of the guard "${name}": ${text}`)
  return parts.join(replacement)
}

/** What a guard leaves behind may be unused or never true, which does not matter here. */
async function build(copy: string, tests: readonly string[]): Promise<void> {
  const tsc = join(PROJECT, 'node_modules', '.bin', 'tsc')
  const { code, output } = await run(copy, tsc, ['-p', '.', '--noCheck', '--noEmitOnError', 'false'])
  if (code !== 0) throw new Error(output)
  if (!tests.some((test) => test.startsWith('cli/'))) return
  const bundled = await run(copy, 'npm', ['run', '--silent', 'bundle'])
  if (bundled.code !== 0) throw new Error(bundled.output)
}

async function runTests(copy: string, tests: readonly string[]): Promise<{ code: number; output: string }> {
  const files = tests.map((test) => join('dist', 'test', `${test}.test.js`))
  return await run(copy, process.execPath, [
    '--test',
    '--test-concurrency=2',
    `--test-timeout=${2 * MINUTE_MS}`,
    ...files,
  ])
}

async function run(cwd: string, command: string, args: readonly string[]): Promise<{ code: number; output: string }> {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const chunks: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code: code ?? 1, output: Buffer.concat(chunks).toString() }
}

await main()
