/** How a node takes part in the network: what it was told, and where that is silent, what the settings of the repo say. */

import type { Config } from '../repo/settings.ts'

export interface NetworkOptions {
  /** Multiaddrs to listen on; undefined: those of the settings; none: do not listen. */
  listen?: string[] | undefined
  /** Give blocks to others who ask. Default true. */
  seed?: boolean | undefined
  /** Multiaddrs to dial at start; undefined: those of the settings; none: nobody. */
  bootstrap?: string[] | undefined
  /**
   * Bytes a second over all peers, null for no limit, and whether peers on this machine and in its network are held to
   * them; undefined: what the settings say.
   */
  limits?: { up?: number | null | undefined; down?: number | null | undefined; lan?: boolean | undefined } | undefined
}

export interface NetworkSettings {
  listen: string[]
  seed: boolean
  bootstrap: string[]
  /** What the settings of the repo name, whether this node dials them or not. */
  defaultBootstrap: string[]
  limits: { up: number | null; down: number | null; lan: boolean }
}

export function networkSettings(options: NetworkOptions, config: Config): NetworkSettings {
  const { listen, seed = true, bootstrap, limits: { up, down, lan } = {} } = options
  return {
    listen: listen ?? config['addresses.listen'],
    seed,
    bootstrap: bootstrap ?? config.bootstrap,
    defaultBootstrap: config.bootstrap,
    limits: {
      up: up === undefined ? config['limits.up'] : up,
      down: down === undefined ? config['limits.down'] : down,
      lan: lan ?? config['limits.lan'],
    },
  }
}
