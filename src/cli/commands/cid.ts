/** `p2p cid`: what a CID says, and the same one written otherwise. Needs no repo. */

import { P2PError } from '../../common/errors.ts'
import { baseOf, basesByName, DAG_PB, parseCid, SHA2_256 } from '../../dag/cid.ts'
import { codecName } from '../../dag/codecs.ts'
import { hashName } from '../../dag/hashes.ts'
import type { Context } from '../context.ts'
import type { Outcome } from '../outcome.ts'

export interface CidFlags {
  v0?: boolean
  v1?: boolean
  base?: string
}

type Cid = ReturnType<typeof parseCid>

/** @throws P2PError `bad-ref` for what is no CID, `usage` for what it cannot be written as */
export async function cid({ output }: Context, texts: string[], flags: CidFlags): Promise<Outcome> {
  if (flags.v0 === true && flags.v1 === true) {
    throw new P2PError('usage', '--v0 and --v1 exclude each other', { hint: 'Leave one of them out.' })
  }
  const converts = flags.v0 === true || flags.v1 === true || flags.base !== undefined
  const cids = texts.map((text) => {
    const parsed = parseCid(text)
    return { given: text, cid: converts ? convert(parsed, flags) : text, ...describe(text, parsed) }
  })
  for (const one of cids) for (const line of converts ? [one.cid] : linesOf(one)) output.resultLine(line)
  return { result: { cids }, summary: [] }
}

function describe(text: string, { version, code, multihash }: Cid) {
  return {
    version,
    codec: codecName(code),
    hash: hashName(multihash.code),
    digestBytes: multihash.digest.byteLength,
    digest: Buffer.from(multihash.digest).toString('hex'),
    base: version === 0 ? 'base58btc' : (baseOf(text)?.name ?? 'unknown'),
  }
}

function linesOf({
  cid: text,
  version,
  codec,
  hash,
  digestBytes,
  digest,
  base,
}: ReturnType<typeof describe> & { cid: string }) {
  const facts = { cid: text, version, codec, hash: `${hash}, ${digestBytes} bytes`, digest, base }
  return Object.entries(facts).map(([name, value]) => `${name.padEnd(8)} ${value}`)
}

function convert(parsed: Cid, { v0 = false, v1 = false, base: baseName }: CidFlags): string {
  const base = baseName === undefined ? undefined : basesByName().get(baseName)
  if (baseName !== undefined && base === undefined) {
    throw new P2PError('usage', `There is no base "${baseName}"`, {
      hint: `Known are ${[...basesByName().keys()].join(', ')}.`,
    })
  }
  if (!v0) return (v1 || base !== undefined ? parsed.toV1() : parsed).toString(base?.encoder)
  if (
    (base !== undefined && base.name !== 'base58btc') ||
    parsed.code !== DAG_PB ||
    parsed.multihash.code !== SHA2_256 ||
    parsed.multihash.digest.byteLength !== 32
  ) {
    throw new P2PError('usage', `${parsed} cannot be written as CIDv0`, {
      hint: 'CIDv0 is for dag-pb with sha2-256 only, and always in base58btc.',
    })
  }
  return parsed.toV0().toString()
}
