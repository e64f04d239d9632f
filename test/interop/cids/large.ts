/** The vectors of `fixtures/cids.json` that are too large for every run of the tests. Run by `.ci/run`. */

import assert from 'node:assert/strict'
import { importVector } from '../../support/imports.ts'
import { describeFile, vectors } from '../../support/vectors.ts'

for (const file of vectors.files.filter(({ large }) => large === true)) {
  assert.equal(await importVector(file), file.cid, describeFile(file))
  console.log(`${describeFile(file)}: ${file.cid}`)
}
