/**
 * One tree, imported by Kubo and by `p2p`, and read back crosswise: `p2p` reads what Kubo imported, and a Kubo that has
 * nothing of it reads what `p2p` imported.
 */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { systemClock } from '../../../src/common/clock.ts'
import type { AddResult } from '../../../src/node/api.ts'
import type { Node } from '../../../src/node/open.ts'
import { hashSources } from '../../../src/node/operations/add.ts'
import type { Kubo } from '../../support/kubo.ts'
import { expectedFrom, found, importedTree, kuboReader, p2pReader, type Reader, type Tree } from './imported-tree.ts'
import type { Switches } from './random-switches.ts'

/** Who imports and who reads. */
export interface Sides {
  /** Imports by the profile of the switches. */
  kuboImports: Kubo
  kuboReads: Kubo
  p2pImports: Node
  p2pReads: Node
}

/** What was compared, for whoever reads the report to see that there was something. */
export interface Compared {
  byCar: boolean
  entries: number
  /** Links that `p2p` has to leave out. */
  leftOut: number
}

/**
 * Fetched over bitswap; what has more blocks than these goes from one to the other as a CAR file, since Kubo asks for the
 * files of a folder nearly one by one, which takes more than all the rest together.
 */
const MAX_FETCHED_BLOCKS = 300
const MAX_LINES_SHOWN = 10

/**
 * @param folder - of the test: has the tree in `tree`
 * @throws AssertionError if anything differs
 */
export async function compareImports(folder: string, switches: Switches, sides: Sides): Promise<Compared> {
  const { ours, kubo } = switches
  const { kuboImports, kuboReads, p2pImports, p2pReads } = sides
  const path = join(folder, 'tree')
  // Kubo writes it, since --only-hash takes no notice of some switches.
  const cid = await kuboImports.ipfs('add', '--recursive', '--quieter', ...kubo, path)
  assertRoot(await p2pImports.add([{ path }], ours), cid)
  const { blocks } = await p2pImports.run('dag-stat', { refs: [cid], offline: true })
  const byCar = blocks > MAX_FETCHED_BLOCKS
  if (!byCar) assertRoot(await hashSources({ clock: systemClock }, [{ path }], ours), cid)

  const byP2p = join(folder, 'by-p2p')
  const byKubo = join(folder, 'by-kubo')
  if (byCar) {
    await p2pReads.run('car-import', { content: onePiece(await kuboImports.exportCar(cid)), pin: false })
    const car = join(folder, 'car')
    await p2pImports.run('car-export', { ref: cid, output: car })
    await kuboReads.ipfs('dag', 'import', '--pin-roots=false', car)
  }
  const [{ skipped }] = await Promise.all([
    p2pReads.get(cid, {
      target: { kind: 'path', path: byP2p },
      ...(byCar ? { offline: true } : { peers: [kuboImports.multiaddr], seed: false }),
    }),
    byCar
      ? kuboReads.ipfs('--offline', 'get', '--progress=false', '--output', byKubo, cid)
      : kuboReads.get(cid, p2pImports.multiaddrs(), byKubo),
  ])
  const imported = await importedTree(path, ours)
  const { entries, leftOut } = await assertRead(p2pReader, byP2p, imported)
  assert.deepEqual(skipped.map(({ name }) => name).toSorted(), leftOut)
  await assertRead(kuboReader, byKubo, imported)
  return { byCar, entries, leftOut: leftOut.length }
}

function assertRoot({ roots, failures }: AddResult, cid: string): void {
  assert.deepEqual(failures, [])
  assert.equal(roots[0]?.cid, cid)
}

async function assertRead(
  reader: Reader,
  copy: string,
  imported: Tree,
): Promise<{ entries: number; leftOut: string[] }> {
  const { lines, leftOut } = expectedFrom(imported, reader)
  const read = await found(copy, imported)
  const differences = [...without(lines, read, '-'), ...without(read, lines, '+')]
  assert.deepEqual(
    differences.slice(0, MAX_LINES_SHOWN),
    [],
    `read by ${reader.name}: ${differences.length} lines differ`,
  )
  return { entries: lines.length, leftOut }
}

function without(lines: readonly string[], others: readonly string[], mark: string): string[] {
  const known = new Set(others)
  return lines.filter((line) => !known.has(line)).map((line) => `${mark} ${line}`)
}

async function* onePiece(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
