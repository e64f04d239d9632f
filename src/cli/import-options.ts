/** What the flags of `declarations/import.ts` say -> options of an import. Used by the commands that have them. */

import { resolve } from 'node:path'
import type { AddOptions } from '../node/api.ts'
import type { ImportSwitches } from '../unixfs/import-settings.ts'

export interface ImportFlags extends ImportSwitches {
  hidden?: boolean
  ignore?: string[]
  ignoreFile?: string[]
  emptyDirs?: boolean
  dereferenceSymlinks?: boolean
  wrap?: boolean
  nocopy?: boolean
  rehash?: boolean
  name?: string
  preserveMode?: boolean
  preserveMtime?: boolean
  mode?: number
  mtime?: string
}

/**
 * @param cwd - what paths count from
 * @throws P2PError `usage` for settings that do not go together, before anything is waited for
 */
export async function importOptionsFrom(flags: ImportFlags, cwd: string): Promise<AddOptions> {
  const switches: ImportSwitches = {
    profile: flags.profile,
    cidVersion: flags.cidVersion,
    rawLeaves: flags.rawLeaves,
    chunker: flags.chunker,
    trickle: flags.trickle,
    maxFileLinks: flags.maxFileLinks,
    maxDirectoryLinks: flags.maxDirectoryLinks,
    maxHamtFanout: flags.maxHamtFanout,
    hash: flags.hash,
    inline: flags.inline,
    inlineLimit: flags.inlineLimit,
  }
  // The profile as it stands needs no check, and what checks takes longer to load than a small add may take.
  if (Object.values(switches).some((value) => value !== undefined)) {
    const { importSettings } = await import('../unixfs/import-settings.ts')
    importSettings(switches)
  }
  return {
    ...switches,
    hidden: flags.hidden,
    ignore: flags.ignore,
    ignoreFiles: flags.ignoreFile?.map((path) => resolve(cwd, path)),
    emptyFolders: flags.emptyDirs,
    followLinks: flags.dereferenceSymlinks,
    wrap: flags.wrap,
    copy: flags.nocopy !== true,
    rehash: flags.rehash,
    name: flags.name,
    preserveMode: flags.preserveMode,
    preserveMtime: flags.preserveMtime,
    mode: flags.mode,
    mtime: flags.mtime,
  }
}
