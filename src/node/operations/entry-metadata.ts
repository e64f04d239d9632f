/** Which mode and mtime the entries of an import keep. Called by `add.ts`. */

import { P2PError } from '../../common/errors.ts'
import type { EntryMetadata } from '../../files/tree.ts'
import type { Metadata, Mtime } from '../../unixfs/unixfs-data.ts'
import type { AddOptions } from '../api.ts'

export interface MetadataRule {
  /** Whether that of the entries is needed. */
  readsEntries: boolean
  /** For what stands on no disk: streams, and the folder around several paths. */
  given: Metadata
  of(entry: { metadata?: EntryMetadata | undefined }): Metadata
}

const MAX_MODE = 0o7777

/**
 * What is given holds for every entry, before its own.
 *
 * @throws P2PError `usage`
 */
export function metadataRule(
  options: Pick<AddOptions, 'mode' | 'mtime' | 'preserveMode' | 'preserveMtime'>,
): MetadataRule {
  const { preserveMode = false, preserveMtime = false } = options
  const given = {
    mode: modeOf(options.mode),
    mtime: options.mtime === undefined ? undefined : parseMtime(options.mtime),
  }
  return {
    readsEntries: preserveMode || preserveMtime,
    given,
    of: ({ metadata }) => ({
      mode: given.mode ?? (preserveMode ? metadata?.mode : undefined),
      mtime: given.mtime ?? (preserveMtime ? metadata?.mtime : undefined),
    }),
  }
}

function modeOf(mode: number | undefined): number | undefined {
  if (mode === undefined || (Number.isInteger(mode) && mode >= 0 && mode <= MAX_MODE)) return mode
  throw new P2PError('usage', `There is no file mode 0${mode.toString(8)}`, { hint: 'Use 0 to 07777, as 0644.' })
}

/** Seconds since 1970, with up to nine decimals; negative before. */
function parseMtime(text: string): Mtime {
  const [, sign, whole, decimals = ''] = /^(-?)(\d{1,15})(?:\.(\d{1,9}))?$/.exec(text) ?? []
  if (whole === undefined) {
    throw new P2PError('usage', `"${text}" is not a time`, {
      hint: 'Write seconds since 1970, as 1700000000 or 1700000000.5; "date +%s" prints those of now.',
    })
  }
  const seconds = Number(whole)
  const nanoseconds = Number(decimals.padEnd(9, '0'))
  if (sign === '') return { seconds, nanoseconds }
  // Nanoseconds count forward from the second before.
  return nanoseconds === 0
    ? { seconds: 0 - seconds, nanoseconds }
    : { seconds: -seconds - 1, nanoseconds: 1e9 - nanoseconds }
}
