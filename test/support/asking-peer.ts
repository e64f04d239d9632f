/** Asks a node for blocks and takes whatever it sends, right or wrong. It shares no code with the exchange under test. */

import '../../src/common/node20.ts'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import type { CID } from 'multiformats/cid'
import { raceAbort } from '../../src/common/abort.ts'
import { SECOND_MS } from '../../src/common/units.ts'
import { BITSWAP_PROTOCOL, frame, readAnswers, takeFrame, wantBlocksOrTold } from './bitswap-frames.ts'

interface Answers {
  blocks: Uint8Array[]
  /** Which it said it does not have. */
  missing: CID[]
}

/** @throws DOMException `TimeoutError` if not everything is answered within a minute */
export async function askForBlocks(server: string, cids: readonly CID[]): Promise<Answers> {
  const node = await createLibp2p({
    transports: [tcp()],
    connectionEncrypters: [tls()],
    streamMuxers: [yamux()],
  })
  try {
    const answers: Answers = { blocks: [], missing: [] }
    const answered = new Promise<void>((resolve) => {
      void node.handle(BITSWAP_PROTOCOL, (stream) => {
        let buffered = Buffer.alloc(0)
        stream.addEventListener('message', ({ data }) => {
          buffered = Buffer.concat([buffered, data.subarray()])
          for (let next = takeFrame(buffered); next !== undefined; next = takeFrame(buffered)) {
            buffered = buffered.subarray(next.end)
            const { blocks, missing } = readAnswers(next.message)
            answers.blocks.push(...blocks)
            answers.missing.push(...missing)
          }
          if (answers.blocks.length + answers.missing.length >= cids.length) resolve()
        })
      })
    })
    const connection = await node.dial(multiaddr(server))
    const stream = await connection.newStream(BITSWAP_PROTOCOL)
    stream.send(frame(wantBlocksOrTold(cids)))
    await raceAbort(answered, { signal: AbortSignal.timeout(60 * SECOND_MS) })
    return answers
  } finally {
    await node.stop()
  }
}
