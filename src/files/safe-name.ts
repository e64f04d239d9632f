/**
 * Names that others chose: entries of a DAG, the file name in a link, anything shown on a terminal. Used by `output.ts`
 * (what may be created), `cli/` (what may be printed) and `node/operations/get.ts`.
 *
 * An entry's name is refused when it could lead outside the target or cannot be that of a file; all that a file here may
 * be called is kept as it is, so that `get` gives back what `add` took. What a link suggests becomes harmless besides.
 */

import { P2PError } from '../common/errors.ts'

/** What file systems take, in bytes of UTF-8. */
const MAX_NAME_BYTES = 255

/** Line breaks and terminal commands (C0, DEL, C1), and what turns the direction of writing around. */
const DECEPTIVE = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u
/** These, and direction marks, which have their place in a name but could rearrange a line around it. */
const EVERY_UNPRINTABLE = new RegExp(`${DECEPTIVE.source}|[\\u061c\\u200e\\u200f]`, 'gu')
/** `C:` and what follows it: a drive or, on NTFS, a stream of another file. */
const DRIVE = /^[a-z]:/i
const LONE_SURROGATE = /\p{Cs}/u
const EVERY_UNSAFE = new RegExp(`${DECEPTIVE.source}|${LONE_SURROGATE.source}`, 'gu')

/**
 * Gives back the name of an entry of a DAG if a file or folder of that name may be created.
 *
 * @throws P2PError `bad-data`
 */
export function safeEntryName(name: string): string {
  const reason = whyUnsafe(name)
  if (reason !== undefined) {
    throw new P2PError(
      'bad-data',
      `The name "${escapeForTerminal(name.slice(0, MAX_NAME_BYTES))}" is refused: ${reason}`,
    )
  }
  return name
}

function whyUnsafe(name: string): string | undefined {
  if (name === '') return 'it is empty'
  if (name === '.' || name === '..') return 'it means a folder, not an entry of one'
  if (name.includes('/')) return 'it has a path separator'
  if (name.includes('\0')) return 'it has a zero byte'
  if (LONE_SURROGATE.test(name)) return 'it is not valid UTF-8'
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) return `it is longer than ${MAX_NAME_BYTES} bytes`
  return undefined
}

/** Text that cannot move the cursor, change colours or turn itself around: such characters become `\u{1b}`. */
export function escapeForTerminal(text: string): string {
  return text.replace(EVERY_UNPRINTABLE, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`)
}

/**
 * A name to save under, made from one that a stranger suggested: its last path segment, with what is not allowed turned
 * into `_`. Never empty, never hidden, at most 255 bytes.
 */
export function suggestedFileName(hostile: string): string {
  const segments = hostile.split(/[/\\]+/).filter((segment) => segment !== '')
  const visible = (segments.at(-1) ?? '')
    .replace(EVERY_UNSAFE, '_')
    .replace(DRIVE, (drive) => `${drive[0]}_`)
    .trim()
    .replace(/^\.+/, '')
  return cutToBytes(visible, MAX_NAME_BYTES) || 'download'
}

/** The longest start of `text` that takes at most so many bytes of UTF-8, in whole characters. */
function cutToBytes(text: string, maxBytes: number): string {
  let end = ''
  let bytes = 0
  for (const character of text) {
    bytes += Buffer.byteLength(character)
    if (bytes > maxBytes) break
    end += character
  }
  return end
}
