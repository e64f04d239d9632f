/** Which boot of the machine this is, so that what was true in another one can be told from what is. */

import { readFile } from 'node:fs/promises'
import { pid } from 'node:process'

/** On systems that do not tell, every process is a boot of its own, which only costs a re-hash. */
export async function readBootId(): Promise<string> {
  try {
    return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
  } catch {
    return `process-${pid}-${performance.timeOrigin}`
  }
}
