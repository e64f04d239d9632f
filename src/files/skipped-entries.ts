/**
 * Entries that a result leaves out: how many there are, and the first of them by name. Whoever made the tree chose the
 * names and the number, so neither grows without bound.
 */

const MAX_NAMED = 1000
/** Of a name and of a reason; more than a line of a terminal, less than anyone reads. */
const MAX_CHARACTERS = 1024

interface SkippedEntry {
  name: string
  reason: string
}

export class SkippedEntries {
  readonly named: SkippedEntry[] = []
  count = 0

  add(name: string, reason: string): void {
    this.count++
    if (this.named.length < MAX_NAMED) this.named.push({ name: cut(name), reason: cut(reason) })
  }
}

/** A part of a string holds on to the whole, hence the copy; in UTF-16 it has lone surrogates as they are. */
function cut(text: string): string {
  if (text.length <= MAX_CHARACTERS) return text
  return `${Buffer.from(text.slice(0, MAX_CHARACTERS), 'utf16le').toString('utf16le')}…`
}
