/** What operations are made of: the parts of a node that holds its repo. Joined by `open.ts`; each operation names those it needs. */

import type { Bitswap } from '../bitswap/bitswap.ts'
import type { BlockStore } from '../blockstore/blockstore.ts'
import type { DiskBlockStore } from '../blockstore/disk-blockstore.ts'
import type { References } from '../blockstore/references.ts'
import type { StoreUsage } from '../blockstore/store-usage.ts'
import type { Clock } from '../common/clock.ts'
import type { KeyedLock } from '../common/keyed-lock.ts'
import type { Host } from '../net/host.ts'
import type { Collector } from '../pin/collector.ts'
import type { ImportMemory } from '../pin/import-memory.ts'
import type { Pins } from '../pin/pins.ts'
import type { Repo } from '../repo/repo.ts'
import type { DhtRouting } from '../routing/dht.ts'
import type { Provider } from '../routing/provider.ts'
import type { NetworkSettings } from './network-settings.ts'

/** The network once it is started. */
export interface Network {
  peerId: string
  host: Host
  exchange: Bitswap
  routing: DhtRouting
  /** Nobody is dialled but who is named. */
  isolated: boolean
}

/** The process that these parts are in, as it tells others. */
interface Holder {
  /** The command as the user gave it, such as `p2p serve`. */
  command: string
  version: string
  /** A `server` serves until it is ended; a `client` until its own work is done. */
  role: 'server' | 'client'
  /** Milliseconds since 1970. */
  sinceMs: number
  /** Lets it end; undefined where others have no say in that. */
  stop: (() => void) | undefined
}

export interface NodeParts {
  holder: Holder
  repo: Repo
  /** All blocks of this machine, those that lie in files of the user too. */
  store: BlockStore
  /** Those that are files of the store's own. */
  blocks: DiskBlockStore
  usage: StoreUsage
  collector: Collector
  references: References
  pins: Pins
  /** Knows files that were added before and have not changed. */
  memory: ImportMemory
  /** Two downloads to one target, which is what they build under the same name beside it, take turns. */
  targets: KeyedLock
  clock: Clock
  /** Which boot of the machine this is. */
  bootId: string
  settings: NetworkSettings
  /** Starts the network when it is first asked for. @throws P2PError `network`, `bad-config` */
  network: () => Promise<Network>
  /** The network if it is started, which this does not do. */
  startedNetwork: () => Network | undefined
  /** What announces the roots; undefined where none are announced. */
  provider: () => Provider | undefined
}
