import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resolveLocation } from '../../src/repo/location.ts'

const home = '/home/ada'
const cwd = '/work'

test('follows flag, P2P_PATH, the XDG folders, their defaults', () => {
  const rows: [{ repo?: string; env: Record<string, string> }, string, string][] = [
    [{ env: {} }, '/home/ada/.config/p2p/config.json', '/home/ada/.local/share/p2p'],
    [{ env: { XDG_CONFIG_HOME: '/c', XDG_DATA_HOME: '/d' } }, '/c/p2p/config.json', '/d/p2p'],
    // The specification: relative paths are to be ignored.
    [
      { env: { XDG_CONFIG_HOME: 'c', XDG_DATA_HOME: '' } },
      '/home/ada/.config/p2p/config.json',
      '/home/ada/.local/share/p2p',
    ],
    [{ env: { P2P_PATH: '/one', XDG_DATA_HOME: '/d' } }, '/one/config.json', '/one'],
    [{ env: { P2P_PATH: 'one' } }, '/work/one/config.json', '/work/one'],
    [{ env: { P2P_PATH: '' } }, '/home/ada/.config/p2p/config.json', '/home/ada/.local/share/p2p'],
    [{ repo: '../other', env: { P2P_PATH: '/one' } }, '/other/config.json', '/other'],
  ]
  for (const [input, configFile, dataDir] of rows) {
    const location = resolveLocation({ ...input, home, cwd })
    assert.equal(location.configFile, configFile)
    assert.equal(location.dataDir, dataDir)
  }
})

test('names everything in the data folder', () => {
  assert.deepEqual(resolveLocation({ repo: '/r', env: {}, home, cwd }), {
    configFile: '/r/config.json',
    dataDir: '/r',
    versionFile: '/r/version',
    identityFile: '/r/identity.key',
    holderFile: '/r/holder.json',
    databaseDir: '/r/database',
    blocksDir: '/r/blocks',
  })
})
