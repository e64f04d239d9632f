/** `p2p share`: adds, serves until it is ended, and prints the link of each path on stdout. */

import { P2PError } from '../../common/errors.ts'
import type { ShareEvent } from '../../daemon/share.ts'
import { dialableByOthers } from '../../net/addresses.ts'
import type { StayEvent } from '../../node/api/network.ts'
import type { AddResult } from '../../node/api.ts'
import { parseAnnounceAddress, parseListenAddress } from '../addresses.ts'
import { type Context, nodeOptionsFor } from '../context.ts'
import type { LimitFlags } from '../flags.ts'
import type { ImportFlags } from '../import-options.ts'
import { linkTo } from '../links.ts'
import type { Outcome } from '../outcome.ts'
import { servePrinter } from '../serve-printer.ts'
import { addedFacts, addFailure, addOptionsFrom, assertPossible, failureLines, givenPaths, sourcesOf } from './add.ts'

export interface ShareFlags extends ImportFlags, LimitFlags {
  listen?: string[]
  announce?: string[]
  qr?: boolean
  timeout?: number
}

/** Ends when the signal aborts, and that is success. @throws P2PError as `Api.add` does; `usage`, `repo-held`, `network` */
export async function share(context: Context, paths: string[], flags: ShareFlags): Promise<Outcome> {
  const { output, signal } = context
  if (context.flags.offline) {
    throw new P2PError('usage', '--offline leaves nothing for p2p share to do', {
      hint: 'To add without serving, use "p2p add".',
    })
  }
  assertPossible(paths, flags)
  const listen = flags.listen?.map(parseListenAddress)
  const announce = flags.announce?.map(parseAnnounceAddress)
  const options = await nodeOptionsFor(context, { command: 'p2p share', holdTimeoutMs: flags.timeout, limits: flags })
  const asGiven = givenPaths(context, paths)
  const printServing = servePrinter(context)
  const drawQrCode = flags.qr && !context.flags.json ? (await import('uqr')).renderUnicodeCompact : undefined
  const printLinks = linkPrinter(context, flags, asGiven, drawQrCode)
  let added: AddResult = { roots: [], failures: [], skippedHidden: 0, servedAt: [] }

  const onEvent = (event: ShareEvent): void => {
    if (event.type === 'added') {
      added = event.result
      output.endProgress()
      for (const fact of addedFacts(added, flags)) output.say(fact)
      for (const line of added.failures.map(asGiven).flatMap((failure) => failureLines(context, failure))) {
        output.warn(line)
      }
    } else if (event.type === 'serving') {
      printLinks(added, event.from)
    } else {
      printServing(event)
    }
  }
  const { runShare } = await import('../../daemon/share.ts')
  await runShare({ ...options, listen, announce }, sourcesOf(context, paths), await addOptionsFrom(context, flags), {
    signal,
    onEvent,
  })
  return {
    result: { roots: added.roots.map(asGiven), failures: added.failures.map(asGiven) },
    summary: added.roots.length === 0 ? [] : ['Stopped.'],
    failure: addFailure(added),
  }
}

/** Prints each link once, and again when it changes because another process serves from now on. */
function linkPrinter(
  { output }: Context,
  { listen, announce }: ShareFlags,
  asGiven: ReturnType<typeof givenPaths>,
  drawQrCode: ((text: string) => string) | undefined,
): (added: AddResult, from: StayEvent) => void {
  const printed = new Set<string>()
  return ({ roots }, { multiaddrs, serves, holder }) => {
    const isOwn = holder.pid === process.pid
    if (!serves) {
      output.say(
        `The repo is held by \`${holder.command}\` (pid ${holder.pid}), which does not serve: the link comes when it has ended.`,
      )
      return
    }
    if (!isOwn) output.say(`\`${holder.command}\` (pid ${holder.pid}) serves it; this command goes on when that ends.`)
    if (!isOwn && (listen ?? announce) !== undefined) {
      output.warn('--listen and --announce have no effect while another command serves on this repo.')
    }
    for (const root of roots) {
      const link = linkTo(root, dialableByOthers(multiaddrs))
      if (printed.has(link)) continue
      printed.add(link)
      output.resultLine(link)
      output.event('link', { ...asGiven(root), link, multiaddrs })
      for (const line of drawQrCode?.(link).split('\n') ?? []) output.say(line)
    }
    output.say('Ready. Ctrl-C stops it.')
  }
}
