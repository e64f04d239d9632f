/** Imports of single files that keep nothing but the CID. */

import { importSettings } from '../../src/unixfs/import-settings.ts'
import { importFile } from '../../src/unixfs/importer.ts'
import { NodeWriter } from '../../src/unixfs/node-writer.ts'
import { contentOf, type vectors } from './vectors.ts'

/** A store that takes everything. */
export const nowhere = { put: async () => {} }

/** The CID that we give to a file of the vectors. */
export async function importVector(file: (typeof vectors.files)[number]): Promise<string> {
  const settings = importSettings(file.switches)
  const content = async function* () {
    yield* contentOf(file)
  }
  const { cid } = await importFile(content(), new NodeWriter(nowhere, settings), settings, async () => {})
  return cid.toString()
}
