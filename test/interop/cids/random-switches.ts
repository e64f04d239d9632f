/** Switches of an import at random: as our options, and as the flags that mean the same to Kubo. */

import { KiB, MiB } from '../../../src/common/units.ts'
import type { AddOptions } from '../../../src/node/api.ts'
import { hashNames } from '../../../src/unixfs/import-settings.ts'
import type { KuboProfile } from '../../support/kubo.ts'
import type { Dice } from './dice.ts'
import type { TreeShape } from './random-tree.ts'

export interface Switches {
  profile: KuboProfile
  ours: AddOptions
  kubo: string[]
  shape: TreeShape
}

export function randomSwitches(dice: Dice): Switches {
  const profile: KuboProfile = dice.pick(['unixfs-v1-2025', 'unixfs-v0-2015'])
  const ours: AddOptions = { profile }
  const kubo: string[] = []
  const give = <Name extends keyof AddOptions>(name: Name, value: AddOptions[Name], flag: string) => {
    ours[name] = value
    kubo.push(flag)
  }

  const chunkBytes = randomChunker(dice, give)
  if (dice.once(3)) give('trickle', true, '--trickle')
  if (dice.once(2)) {
    const links = dice.pick([2, 3, 5, 32, 174, 1024])
    give('maxFileLinks', links, `--max-file-links=${links}`)
  }
  if (dice.once(3)) {
    const links = dice.pick([0, 1, 5, 32, 100])
    give('maxDirectoryLinks', links, `--max-directory-links=${links}`)
  }
  if (dice.once(3)) {
    const fanout = dice.pick([8, 16, 32, 64, 128, 256, 512, 1024])
    give('maxHamtFanout', fanout, `--max-hamt-fanout=${fanout}`)
  }
  if (dice.once(4)) give('inline', true, '--inline')
  if (ours.inline === true && dice.once(2)) {
    const limit = dice.pick([0, 1, 16, 64, 128])
    give('inlineLimit', limit, `--inline-limit=${limit}`)
  }
  randomCid(dice, give)
  randomMetadata(dice, give)
  if (dice.once(3)) give('hidden', true, '--hidden')
  if (dice.once(4)) give('emptyFolders', false, '--empty-dirs=false')
  if (dice.once(4)) give('wrap', true, '--wrap-with-directory')
  // Some hashes take their time.
  const maxBytes = ours.hash === undefined ? 1.25 * MiB : 300 * KiB
  return { profile, ours, kubo, shape: { chunkBytes, maxBytes } }
}

type Give = <Name extends keyof AddOptions>(name: Name, value: AddOptions[Name], flag: string) => void

/** Ways to cut, with the size of their chunks: no file shall have so many that Kubo takes minutes for it. */
const CHUNKERS: [chunker: string, chunkBytes: number][] = [
  ['size-16', 16],
  ['size-100', 100],
  ['size-512', 512],
  ['size-4096', 4 * KiB],
  ['size-2096896', 4 * KiB],
  ['rabin', 256 * KiB],
  ['rabin-1024', KiB],
  ['rabin-16-64-4096', 64],
  ['rabin-512-1024-2048', KiB],
  ['rabin-65536-262144-524288', 256 * KiB],
  ['buzhash', 256 * KiB],
]

/** @returns the size of a chunk */
function randomChunker(dice: Dice, give: Give): number {
  if (dice.once(6)) return 256 * KiB
  const [chunker, chunkBytes] = dice.pick(CHUNKERS)
  give('chunker', chunker, `--chunker=${chunker}`)
  return chunkBytes
}

function randomCid(dice: Dice, give: Give): void {
  if (dice.once(4)) {
    // One function has as many names as all others together.
    const functions = hashNames().filter((name) => !name.startsWith('blake2b-'))
    const hash = dice.pick([...functions, 'blake2b-160', 'blake2b-208', 'blake2b-512'])
    give('hash', hash, `--hash=${hash}`)
    // Else the profile for CIDs of version 0 refuses the others.
    give('cidVersion', 1, '--cid-version=1')
  } else if (dice.once(3)) {
    const version = dice.pick([0, 1])
    give('cidVersion', version, `--cid-version=${version}`)
  }
}

function randomMetadata(dice: Dice, give: Give): void {
  const hasMetadata = dice.once(3)
  // Kubo refuses metadata with raw leaves, which one of the profiles asks for.
  const rawLeaves = hasMetadata ? false : dice.pick([true, false])
  if (hasMetadata || dice.once(3)) give('rawLeaves', rawLeaves, `--raw-leaves=${rawLeaves}`)
  if (!hasMetadata) return
  if (dice.once(2)) give('preserveMode', true, '--preserve-mode')
  if (dice.once(2)) give('preserveMtime', true, '--preserve-mtime')
  if (dice.once(3)) give('mode', 0o640, '--mode=0640')
  if (dice.once(3)) give('mtime', '1603539720', '--mtime=1603539720')
}
