/** How a command ended, if it did not throw. Commands return it, the output (`render.ts`) prints it. */

import type { P2PError } from '../common/errors.ts'

export interface Outcome {
  /** Fields of the `result` event. */
  result: Record<string, unknown>
  /** For people, on stderr: what was done, one line each. */
  summary: string[]
  /** For people, on stderr: what was left undone, one line each. */
  problems?: string[] | undefined
  /** Set if not all that was asked for is done; decides the exit code. */
  failure?: P2PError | undefined
}
