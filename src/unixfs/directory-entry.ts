/** What a folder says about one thing in it; the same for plain and sharded folders, read or written. */

import type { CID } from 'multiformats/cid'

export interface DirectoryEntry {
  /** With lone surrogates, which no other name has, where it is not valid UTF-8. */
  name: string
  cid: CID
  /** Bytes of all blocks of the DAG below, as its writer says; 0 if it does not say. Never to be trusted. */
  tsize: number
}
