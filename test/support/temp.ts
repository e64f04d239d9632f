/** Temporary folders of tests, demo and benches; gone afterwards whatever happens. */

import { rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atExit, type CleanUpScope, cleanUpAfter } from './clean-up.ts'

/** A process that was just killed may still finish a write, which makes a folder refuse its removal for a moment. */
const REMOVAL = { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }

/** Makes an empty folder that is removed with all its content when the scope ends. */
export async function makeTempDir(scope: CleanUpScope, parent = tmpdir()): Promise<string> {
  const folder = await mkdtemp(join(parent, 'p2p-test-'))
  const forget = atExit(() => rmSync(folder, REMOVAL))
  cleanUpAfter(scope, async () => {
    await rm(folder, REMOVAL)
    forget()
  })
  return folder
}
