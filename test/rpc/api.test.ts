import '../../src/common/node20.ts'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Node, openNode } from '../../src/node/open.ts'
import { resolveLocation } from '../../src/repo/location.ts'
import { RemoteApi } from '../../src/rpc/client.ts'
import { serveApi } from '../../src/rpc/server.ts'
import { SharedApi } from '../../src/rpc/shared-api.ts'
import { findSocket } from '../../src/rpc/socket.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { makeTempDir } from '../support/temp.ts'
import { apiSuite } from './api-suite.ts'

async function makeOptions(t: TestContext) {
  const parent = await makeTempDir(t)
  const folder = join(parent, 'files')
  await mkdir(folder)
  const options = {
    location: resolveLocation({ repo: join(parent, 'repo'), env: {}, home: folder, cwd: folder }),
    command: 'p2p test',
    holdTimeoutMs: 10_000,
    listen: [],
    bootstrap: [],
  }
  return { folder, options, places: { userId: process.getuid?.(), runtimeDir: undefined, tempDir: folder } }
}

async function openLocal(t: TestContext): Promise<{ node: Node } & Awaited<ReturnType<typeof makeOptions>>> {
  const made = await makeOptions(t)
  const node = await openNode({ ...made.options, role: 'client' })
  cleanUpAfter(t, () => node.close())
  return { ...made, node }
}

apiSuite('the node that holds the repo', async (t) => {
  const { node, folder } = await openLocal(t)
  return { api: node, folder }
})

apiSuite('through the socket', async (t) => {
  const { node, folder, options, places } = await openLocal(t)
  const { dataDir } = options.location
  const server = await serveApi(node, { dataDir, places })
  cleanUpAfter(t, () => server.close())
  const api = new RemoteApi({
    socketPath: (await findSocket(dataDir, places)) ?? '',
    answerTimeoutMs: 10_000,
    describeHolder: async () => 'this test',
    network: { bootstrap: [] },
  })
  return { api, folder }
})

apiSuite('whoever holds the repo', async (t) => {
  const { folder, options, places } = await makeOptions(t)
  const api = new SharedApi({ ...options, places })
  cleanUpAfter(t, () => api.close())
  return { api, folder }
})
