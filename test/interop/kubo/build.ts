/**
 * `npm run kubo:build`: builds the Kubo that go.mod here pins into the user's cache, if it is not there yet, and prints
 * its path. Needs Go; takes about three minutes on two cores and downloads some 300 MB of modules.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdir, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { kuboCachePath, kuboModuleFolder } from '../../support/kubo.ts'

const path = await kuboCachePath()
const built = await access(path).then(
  () => true,
  () => false,
)
if (!built) await build(path)
console.log(path)

async function build(target: string): Promise<void> {
  await mkdir(dirname(target), { recursive: true })
  const unfinished = `${target}.${process.pid}`
  const go = spawn('go', ['build', '-o', unfinished, 'github.com/ipfs/kubo/cmd/ipfs'], {
    cwd: kuboModuleFolder,
    // stdout is for the path alone.
    stdio: ['ignore', process.stderr, process.stderr],
  })
  try {
    const [code] = await once(go, 'close')
    if (code !== 0) throw new Error(`go build ended with ${code}`)
    await rename(unfinished, target)
  } finally {
    await rm(unfinished, { force: true })
  }
}
