/** Guesses which name was meant by one that does not exist. A name in a folder, or a command. */

import { editDistance } from './edit-distance.ts'

/** More typing mistakes than this make another name. */
const MAX_EDITS = 2
/** Comparing costs the product of both lengths for every name, and hostile folders have many long ones. */
const MAX_NAMES = 10_000
const MAX_LENGTH = 64

/** The name nearest to `wanted`, or undefined if none is near: other case, other accents, or up to two typing mistakes. */
export function closestName(wanted: string, names: string[]): string | undefined {
  let best: string | undefined
  let bestEdits = MAX_EDITS + 1
  const plainWanted = plain(wanted)
  if (plainWanted.length > MAX_LENGTH) return undefined
  for (const name of names.slice(0, MAX_NAMES)) {
    if (Math.abs(name.length - wanted.length) > MAX_EDITS) continue
    const edits = editDistance(plainWanted, plain(name))
    // Every letter of a very short name changed is no likeness.
    if (edits < bestEdits && edits < plainWanted.length) {
      best = name
      bestEdits = edits
    }
  }
  return best
}

function plain(name: string): string {
  return name.normalize('NFKC').toLowerCase()
}
