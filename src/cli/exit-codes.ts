/** Which error ends the process with which code. Scripts rely on them: they never change. */

import type { ErrorCode } from '../common/errors.ts'

export const EXIT_CODES = {
  usage: 2,
  'bad-ref': 2,
  'bad-config': 2,
  'not-found': 3,
  'no-provider': 3,
  timeout: 4,
  'repo-held': 4,
  network: 5,
  io: 6,
  'disk-full': 7,
  verification: 8,
  'target-exists': 9,
  partial: 10,
  limit: 11,
  aborted: 130,
  'repo-version': 1,
  'bad-data': 1,
  internal: 1,
} satisfies Record<ErrorCode, number>

/** By convention 128 and the number of the signal. */
export const SIGNAL_EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const

export const EXIT_CODES_HELP = `Exit codes:
  0 ok                   4 timeout              8 verification failed
  1 other                5 network              9 target exists
  2 usage                6 local input/output  10 partly done
  3 not found,           7 disk full           11 limit reached
    no provider        130 SIGINT             143 SIGTERM`
