/**
 * `npm run demo`: the main job of `p2p`, shown on real processes of the built binary. A file is added to three repos, the
 * three are served, and a fourth repo gets the file by its CID alone. Runs on 127.0.0.1 and in a temporary folder only,
 * and leaves neither processes nor files behind, whatever happens. `P2P_DEMO_BYTES` sets the size of the file.
 */

import { statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { messageOf } from '../../src/common/errors.ts'
import { formatBytes, MiB, shortPeerId } from '../../src/common/units.ts'
import { sha256OfFile, writeRandomFile } from '../support/bytes.ts'
import { type CleanUpScope, withCleanUp } from '../support/clean-up.ts'
import { addPath, type Serve, startP2p, startServe } from '../support/processes.ts'
import { makeTempDir } from '../support/temp.ts'

const DEFAULT_FILE_BYTES = 512 * MiB
const SEEDERS = 3
/** The file itself, a copy in each seeder's repo, and the download; and some room. */
const DISK_RATIO = 1 + SEEDERS + 1 + 0.1

function say(text = ''): void {
  console.log(text)
}

function fileBytes(): number {
  const setting = process.env.P2P_DEMO_BYTES
  if (setting === undefined) return DEFAULT_FILE_BYTES
  const bytes = Number(setting)
  if (!Number.isSafeInteger(bytes) || bytes < 0)
    throw new Error(`P2P_DEMO_BYTES is "${setting}", not a number of bytes`)
  return bytes
}

async function checkSpace(byteCount: number): Promise<void> {
  const { bavail, bsize } = await statfs(tmpdir())
  const needed = byteCount * DISK_RATIO
  if (bavail * bsize >= needed) return
  throw new Error(
    `${tmpdir()} has ${formatBytes(bavail * bsize)} free and the demo needs ${formatBytes(needed)}. ` +
      'Set TMPDIR to a folder with more space, or P2P_DEMO_BYTES to a smaller size.',
  )
}

async function demo(scope: CleanUpScope): Promise<void> {
  const byteCount = fileBytes()
  await checkSpace(byteCount)
  const folder = await makeTempDir(scope)
  const file = join(folder, 'holiday-film.bin')
  say('p2p demo: three nodes have a file, a fourth gets it from all of them at once.')
  say(`All of it runs on this machine (127.0.0.1) and in ${folder}, which is removed at the end.`)

  say()
  say(`1. Making a file of ${formatBytes(byteCount)}.`)
  const sha256 = await writeRandomFile(file, 'demo', byteCount)
  say(`   SHA-256 ${sha256}`)

  say()
  say('2. Adding it to three repos with `p2p add`. Each prints the same CID, for a CID names content, not a place:')
  const repos = Array.from({ length: SEEDERS }, (_, i) => join(folder, `seeder-${i + 1}`))
  let cid = ''
  for (const repo of repos) {
    cid = await addPath(repo, file)
    say(`   ${cid}`)
  }

  say()
  say('3. Starting `p2p serve` on an empty repo, as the bootstrap node that the others meet at, and on the three.')
  say('   Each tells the DHT (a phone book that all nodes share) that it has this CID:')
  const bootstrap = await startServe(scope, join(folder, 'bootstrap'))
  const seeders: Serve[] = []
  for (const repo of repos) {
    const seeder = await startServe(scope, repo, ['--bootstrap', bootstrap.multiaddr])
    seeders.push(seeder)
    await seeder.announced(cid)
    say(`   seeder ${seeders.length}, ${shortPeerId(seeder.peerId)}, at ${seeder.multiaddr}`)
  }

  say()
  say('4. A fourth repo gets the file. It knows the CID and the bootstrap node, and asks the DHT who has it:')
  say(`   $ p2p get ${cid} -o copy.bin`)
  const copy = join(folder, 'copy.bin')
  // Its progress goes straight to this terminal.
  const get = startP2p(scope, ['get', cid, '-o', copy, '--bootstrap', bootstrap.multiaddr], {
    repo: join(folder, 'receiver'),
    stderr: 'inherit',
  })
  const { code } = await get.finished
  if (code !== 0) throw new Error(`p2p get ended with exit code ${code}`)

  say()
  say('5. Comparing the copy with the file:')
  const copySha256 = await sha256OfFile(copy)
  say(`   SHA-256 ${copySha256}`)
  if (copySha256 !== sha256) throw new Error('the copy differs from the file')
  say('   The same. Every block was also checked on arrival, whoever sent it.')
  for (const serve of [...seeders, bootstrap]) await serve.stop()
}

try {
  await withCleanUp(demo)
  say()
  say('Done. Every process has ended and every file is removed.')
} catch (error) {
  console.error(`The demo failed: ${messageOf(error)}`)
  process.exitCode = 1
}
