/** Memory must not grow with the number of files. */

import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { MiB } from '../../../src/common/units.ts'
import { type CleanUpScope, withCleanUp } from '../../support/clean-up.ts'
import { startP2p } from '../../support/processes.ts'
import { makeTempDir } from '../../support/temp.ts'
import type { Bar, Bench } from '../bar.ts'
import { watchPeak } from '../measure.ts'

const FEW = 10_000
const MANY = 100_000
const FILES_A_FOLDER = 1000
const LINE = 'one of a great many small files\n'

export const addMany: Bar = {
  name: 'add-many',
  title: `Peak resident memory (VmHWM) of p2p add of ${MANY} files of about 1 KiB, and of a tenth of them`,
  measure: async (bench) => {
    const few = await peaks(bench, FEW, FILES_A_FOLDER)
    const many = await peaks(bench, MANY, FILES_A_FOLDER)
    const inOneFolder = await peaks(bench, MANY, MANY)
    const target = { atMost: 256 * MiB }
    return [
      { what: `${FEW} files, ${FILES_A_FOLDER} in a folder`, unit: 'size', values: few },
      { what: `${MANY} files, ${FILES_A_FOLDER} in a folder`, unit: 'size', values: many, target },
      { what: 'many against few', unit: 'ratio', values: many.map((peak, run) => peak / few[run]!) },
      { what: `${MANY} files in one folder`, unit: 'size', values: inOneFolder, target },
    ]
  },
}

async function peaks({ folder, runs }: Bench, files: number, filesAFolder: number): Promise<number[]> {
  const tree = join(folder, 'many')
  for (let index = 0; index < files; index++) {
    const parent = join(tree, `folder-${Math.floor(index / filesAFolder)}`)
    if (index % filesAFolder === 0) mkdirSync(parent, { recursive: true })
    writeFileSync(join(parent, `file-${index}`), `${index} ${LINE}`.repeat(25))
  }
  const values: number[] = []
  for (let run = 0; run < runs; run++) values.push(await withCleanUp((scope) => peakOf(scope, tree, files)))
  await rm(tree, { recursive: true })
  return values
}

/** Also sees that what is told meanwhile says how much there is, and how long it will take. */
async function peakOf(scope: CleanUpScope, tree: string, files: number): Promise<number> {
  const add = startP2p(scope, ['add', '--json', tree], { repo: await makeTempDir(scope) })
  const endOfPeak = watchPeak(add.pid)
  const { code, stderr } = await add.finished
  const peakBytes = endOfPeak()
  assert.equal(code, 0, stderr)
  const told = add.events.filter(({ type }) => type === 'add-progress')
  assert.ok(told.every(({ totalFiles }) => totalFiles === files))
  assert.ok(told.some(({ etaSeconds }) => Number(etaSeconds) > 0))
  if (peakBytes === undefined) throw new Error('this system does not tell the peak memory of a process')
  return peakBytes
}
