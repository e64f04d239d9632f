/**
 * Noise, loaded when the first peer needs it: most take TLS, and its code is a good part of a start. Called by `host.ts`.
 * Specification: https://github.com/libp2p/specs/tree/master/noise
 */

import type { ConnectionEncrypter } from '@libp2p/interface'
import type { NoiseComponents } from '@libp2p/noise'

/** A `connectionEncrypters` entry for libp2p. */
export function noiseOnDemand(): (components: NoiseComponents) => ConnectionEncrypter {
  return (components) => {
    let loading: Promise<ConnectionEncrypter> | undefined
    const load = () => {
      loading ??= import('@libp2p/noise').then(({ noise }) => noise()(components))
      return loading
    }
    return {
      protocol: '/noise',
      secureInbound: async (...args) => await (await load()).secureInbound(...args),
      secureOutbound: async (...args) => await (await load()).secureOutbound(...args),
    }
  }
}
