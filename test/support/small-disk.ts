/** Disks that really fill up: file systems in memory of a size of their own. */

import { execFile } from 'node:child_process'
import { mkdir, open, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { errnoOf } from '../../src/common/errors.ts'
import { MiB } from '../../src/common/units.ts'
import { type CleanUpScope, cleanUpAfter } from './clean-up.ts'

const run = promisify(execFile)

/** For `skip`: why none can be made here, or false. Mounting takes root. */
export const noSmallDisk =
  process.getuid?.() !== 0 || process.platform !== 'linux' ? 'cannot mount a small disk' : (false as const)

export class SmallDisk {
  readonly folder: string

  private constructor(folder: string) {
    this.folder = folder
  }

  static async make(scope: CleanUpScope, parent: string, mib: number): Promise<SmallDisk> {
    const folder = join(parent, 'disk')
    await mkdir(folder)
    await run('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'tmpfs', folder])
    cleanUpAfter(scope, async () => {
      await run('umount', [folder])
    })
    return new SmallDisk(folder)
  }

  async resize(mib: number): Promise<void> {
    await run('mount', ['-o', `remount,size=${mib}m`, this.folder])
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.folder)
    return bavail * bsize
  }

  /** Takes all the room but for so many bytes, which the disk rounds to its pages. */
  async fill(left = 0): Promise<void> {
    const handle = await open(this.#ballast, 'a')
    try {
      for (let free = await this.freeBytes(); free > left; free = await this.freeBytes()) {
        await handle.write(Buffer.alloc(Math.min(MiB, free - left)))
      }
    } catch (error) {
      if (errnoOf(error) !== 'ENOSPC') throw error
    } finally {
      await handle.close()
    }
  }

  /** Gives back what {@link fill} has taken. */
  async relieve(): Promise<void> {
    await rm(this.#ballast, { force: true })
  }

  get #ballast(): string {
    return join(this.folder, 'ballast')
  }
}
