/**
 * A link to content, as `ref.ts` reads it: `ipfs://<cid>?filename=…&provider=…`. Opens in `p2p`; the CID in it opens in
 * any gateway.
 *
 * @see https://github.com/ipfs/specs/pull/504 for `provider`
 */

/** More addresses than this are not tried before the link is taken for dead, and make it too long to be sent. */
const MAX_PROVIDERS = 8

export interface LinkParts {
  cid: string
  /** The name to save it under. */
  filename?: string | undefined
  /** Multiaddrs that each end in `/p2p/<peer id>`, best first; those beyond the eighth are left out. */
  providers: readonly string[]
}

export function formatLink({ cid, filename, providers }: LinkParts): string {
  const parameters = [
    ...(filename === undefined ? [] : [`filename=${encodeURIComponent(filename)}`]),
    // A slash may stand in a query, and an address is easier to read with it.
    ...providers.slice(0, MAX_PROVIDERS).map((text) => `provider=${encodeURIComponent(text).replaceAll('%2F', '/')}`),
  ]
  return parameters.length === 0 ? `ipfs://${cid}` : `ipfs://${cid}?${parameters.join('&')}`
}
