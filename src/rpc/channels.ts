/** What of an operation's options is no data, and has a way of its own across the socket (`protocol.ts`). */

import type { OnEvent, OperationOptions, WriteBytes } from '../node/api/operation.ts'

export interface Channels extends OperationOptions {
  /** Takes parts of the result. */
  onEvent?: OnEvent<object> | undefined
  /** A stream from the caller. */
  content?: AsyncIterable<Uint8Array> | undefined
  /** Takes bytes of the result. */
  write?: WriteBytes | undefined
}

/** All of them, as the holder has them. */
export type ServedChannels = { [Name in keyof Channels]-?: NonNullable<Channels[Name]> }
