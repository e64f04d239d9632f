/**
 * Mode and time of modification that a tree carries for a file, folder or link, put on what was made of it. Used by
 * `output.ts` and what it writes with. A file system that takes no such thing is no failure: the content counts.
 * @see https://specs.ipfs.tech/unixfs/#dag-pb-optional-metadata
 */

import { fchmodSync, futimesSync } from 'node:fs'
import { type FileHandle, lutimes } from 'node:fs/promises'
import { errnoOf } from '../common/errors.ts'

export interface Metadata {
  /** Permission bits; setuid, setgid and sticky are never set, whatever stands here. 0 says nothing. */
  mode?: number | undefined
  /** Seconds since 1970 and nanoseconds after them; set to the microsecond. */
  mtime?: { seconds: number; nanoseconds: number } | undefined
}

const PERMISSION_BITS = 0o777
/** What is served from later has to be readable, and what is synced. */
const LEAST = { file: 0o400, folder: 0o500 } as const

/** The handle's file or folder gets what is known of it. */
export async function restoreMetadata(handle: FileHandle, metadata: Metadata, kind: keyof typeof LEAST): Promise<void> {
  const { mode, time } = systemValues(metadata, kind)
  if (mode !== undefined) await handle.chmod(mode).catch(passOver)
  if (time !== undefined) await handle.utimes(time, time).catch(passOver)
}

/** As {@link restoreMetadata}, for a file in a thread where nobody else waits. */
export function restoreMetadataNow(descriptor: number, metadata: Metadata): void {
  const { mode, time } = systemValues(metadata, 'file')
  try {
    if (mode !== undefined) fchmodSync(descriptor, mode)
    if (time !== undefined) futimesSync(descriptor, time, time)
  } catch (error) {
    passOver(error)
  }
}

/** As {@link restoreMetadata}; a link has no mode of its own. */
export async function restoreLinkTime(path: string, metadata: Metadata): Promise<void> {
  const { time } = systemValues(metadata, 'file')
  if (time !== undefined) await lutimes(path, time, time).catch(passOver)
}

/** As the calls take them: Node takes a negative number for "now", but not the same number as text. */
function systemValues(
  { mode, mtime }: Metadata,
  kind: keyof typeof LEAST,
): { mode: number | undefined; time: string | undefined } {
  return {
    mode: mode ? (mode & PERMISSION_BITS) | LEAST[kind] : undefined,
    time: mtime && String(secondsOf(mtime)),
  }
}

/**
 * A time as one number, to the microsecond. Node 20 cuts it down to that, towards 0: so a double that came out a little
 * less than meant, as far as doubles of today's seconds are exact, is made a little more.
 */
function secondsOf({ seconds, nanoseconds }: { seconds: number; nanoseconds: number }): number {
  const microseconds = Math.floor(nanoseconds / 1000)
  const time = seconds + microseconds / 1e6
  const whole = Math.trunc(time)
  const isLess = Math.trunc((time - whole) * 1e6) !== (seconds - whole) * 1e6 + microseconds
  return isLess ? time + Math.sign(time) * 0.25e-6 : time
}

function passOver(error: unknown): void {
  if (errnoOf(error) === undefined) throw error
}
