import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { P2PError } from '../../src/common/errors.ts'
import { MiB } from '../../src/common/units.ts'
import { changeConfig, loadConfig } from '../../src/repo/config.ts'
import { type SettingName, toWords } from '../../src/repo/settings.ts'
import { makeTempDir } from '../support/temp.ts'

const PEER = '/ip4/10.0.0.1/tcp/4001/p2p/12D3KooWGC6TvWhfajpX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5q'

test('without a file everything is as by default', async (t) => {
  const config = await loadConfig(join(await makeTempDir(t), 'config.json'))
  assert.deepEqual(config['addresses.listen'], ['/ip4/0.0.0.0/tcp/4001', '/ip6/::/tcp/4001'])
  assert.deepEqual(config['addresses.announce'], [])
  assert.equal(config.bootstrap.length, 4)
})

test('a file changes what it names and nothing else', async (t) => {
  const file = join(await makeTempDir(t), 'config.json')
  await writeFile(file, JSON.stringify({ addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] }, bootstrap: [PEER] }))
  const config = await loadConfig(file)
  assert.deepEqual(config['addresses.listen'], ['/ip4/127.0.0.1/tcp/0'])
  assert.deepEqual(config['addresses.announce'], [])
  assert.deepEqual(config.bootstrap, [PEER])
  await writeFile(file, '{"bootstrap": []}')
  assert.deepEqual((await loadConfig(file)).bootstrap, [])
  // What one file says does not leak into the defaults.
  assert.deepEqual((await loadConfig(file))['addresses.listen'], ['/ip4/0.0.0.0/tcp/4001', '/ip6/::/tcp/4001'])
})

test('limits are read as rates', async (t) => {
  const file = join(await makeTempDir(t), 'config.json')
  await writeFile(file, '{"limits": {"up": "10MiB", "lan": true}}')
  const config = await loadConfig(file)
  assert.deepEqual([config['limits.up'], config['limits.down'], config['limits.lan']], [10_485_760, null, true])
  await writeFile(file, '{"limits": {"up": "none"}}')
  assert.equal((await loadConfig(file))['limits.up'], null)
})

test('the default list of bootstrap peers is one that a file could hold', async (t) => {
  const folder = await makeTempDir(t)
  const { bootstrap } = await loadConfig(join(folder, 'none'))
  const file = join(folder, 'config.json')
  await writeFile(file, JSON.stringify({ bootstrap }))
  assert.deepEqual((await loadConfig(file)).bootstrap, bootstrap)
})

const refused: [content: string, message: RegExp, hint?: RegExp][] = [
  ['', /not valid JSON/, /remove it/],
  ['{"bootstrap": [', /not valid JSON/],
  ['[]', /the file must be an object/],
  ['null', /the file must be an object/],
  ['{"boostrap": []}', /"boostrap" is not a setting/, /"bootstrap"/],
  ['{"addresses": {"listn": []}}', /"addresses.listn" is not a setting/, /"addresses.listen"/],
  ['{"addresses": {"listen": {"a": 1}}}', /addresses.listen must be a list of multiaddrs/],
  ['{"addresses": []}', /addresses must be an object/],
  ['{"__proto__": {"bootstrap": []}}', /"__proto__" is not a setting/],
  ['{"constructor": {}}', /"constructor" is not a setting/],
  ['{"addresses": {"listen": "/ip4/127.0.0.1/tcp/0"}}', /addresses.listen must be a list/],
  ['{"addresses": {"listen": [4001]}}', /addresses.listen must be a list/],
  ['{"addresses": {"announce": ["127.0.0.1:4001"]}}', /addresses.announce holds "127.0.0.1:4001", which is not a mul/],
  ['{"addresses": {"announce": ["/ip4/1.2.3.400/tcp/1"]}}', /which is not a multiaddr/],
  ['{"limits": {"up": 10}}', /limits.up must be a rate, as "10MiB"/],
  ['{"limits": {"down": "10"}}', /limits.down must be a rate/],
  ['{"limits": {"lan": "yes"}}', /limits.lan must be true or false/],
  ['{"store": {"lowWater": 0.5}}', /store.lowWater must be a number from 1 to 100/],
  ['{"store": {"lowWater": 91}}', /store.lowWater \(91\) must not be above store.highWater \(90\)/],
  ['{"bootstrap": ["/ip4/1.2.3.4/tcp/1"]}', /bootstrap holds "\/ip4\/1.2.3.4\/tcp\/1", which does not end in \/p2p\//],
]

for (const [content, message, hint] of refused) {
  test(`refuses ${content === '' ? 'an empty file' : content} and leaves it alone`, async (t) => {
    const file = join(await makeTempDir(t), 'config.json')
    await writeFile(file, content)
    await assert.rejects(loadConfig(file), (error) => {
      assert.ok(error instanceof P2PError)
      assert.equal(error.code, 'bad-config')
      assert.ok(error.message.startsWith(`${file}: `))
      assert.match(error.message, message)
      if (hint !== undefined) assert.match(error.hint ?? '', hint)
      return true
    })
    assert.equal(await readFile(file, 'utf8'), content)
  })
}

test('a file that cannot be read is an error of local files', async (t) => {
  const file = join(await makeTempDir(t), 'config.json')
  await mkdir(file)
  await assert.rejects(loadConfig(file), { code: 'io' })
})

test('a setting is changed, and all else in the file stays', async (t) => {
  const file = join(await makeTempDir(t), 'made', 'config.json')
  assert.equal(await changeConfig(file, 'limits.up', ['1.5MiB']), 1.5 * MiB)
  await writeFile(file, '{"limits": {"up": "10MiB"}, "addresses.announce": ["/ip4/192.0.2.1/tcp/1"], "bootstrap": []}')
  await changeConfig(file, 'limits.lan', ['true'])
  await changeConfig(file, 'addresses.announce', ['/ip4/192.0.2.1/tcp/2', '/ip4/192.0.2.1/tcp/3'])
  await changeConfig(file, 'bootstrap', [PEER])
  assert.deepEqual(JSON.parse(await readFile(file, 'utf8')), {
    limits: { up: '10MiB', lan: true },
    bootstrap: [PEER],
    addresses: { announce: ['/ip4/192.0.2.1/tcp/2', '/ip4/192.0.2.1/tcp/3'] },
  })
  await changeConfig(file, 'bootstrap', ['none'])
  await changeConfig(file, 'limits.lan', ['false'])
  const config = await loadConfig(file)
  assert.deepEqual([config.bootstrap, config['limits.lan'], config['limits.up']], [[], false, 10 * MiB])
})

test('what no setting takes is refused, and a file that cannot be read is left alone', async (t) => {
  const file = join(await makeTempDir(t), 'config.json')
  const rows: [name: string, words: string[], message: RegExp, hint: RegExp][] = [
    ['limit.up', ['1MiB'], /"limit.up" is not a setting/, /"limits.up".*p2p config ls/],
    ['store.maxSize', ['1MB'], /must be a size in KiB, MiB, GiB or TiB/, /./],
    ['toString', ['1'], /"toString" is not a setting/, /nearest/],
    ['limits', ['1MiB'], /"limits" is not a setting/, /limits\./],
    ['limits.up', ['fast'], /^limits.up must be a rate/, /config get limits.up/],
    ['limits.up', ['1MiB', '2MiB'], /^limits.up must be a rate/, /./],
    ['limits.lan', ['yes'], /^limits.lan must be true or false/, /./],
    ['addresses.listen', ['0.0.0.0:4001'], /^addresses.listen holds "0.0.0.0:4001"/, /./],
    ['bootstrap', ['/ip4/192.0.2.1/tcp/1'], /^bootstrap holds .* which does not end in/, /./],
    ['store.highWater', ['70'], /^store.lowWater \(75\) must not be above store.highWater \(70\)$/, /other one first/],
    ['bootstrap', ['none', PEER], /^bootstrap holds "none"/, /./],
  ]
  for (const [name, words, message, hint] of rows) {
    await assert.rejects(changeConfig(file, name, words), { code: 'usage', message, hint })
  }
  await writeFile(file, '{"limits": ')
  await assert.rejects(changeConfig(file, 'limits.up', ['1MiB']), { code: 'bad-config' })
  assert.equal(await readFile(file, 'utf8'), '{"limits": ')
})

test('every value is written in words that give it again', async (t) => {
  const file = join(await makeTempDir(t), 'config.json')
  const values: [SettingName, string[]][] = [
    ['limits.up', ['10MiB']],
    ['limits.up', ['none']],
    ['limits.down', ['19.53125KiB']],
    ['limits.lan', ['true']],
    ['addresses.listen', ['none']],
    ['addresses.listen', ['/ip4/127.0.0.1/tcp/0', '/ip6/::1/tcp/0']],
  ]
  for (const [name, words] of values) {
    await changeConfig(file, name, words)
    assert.deepEqual(toWords(name, (await loadConfig(file))[name]), words)
  }
})
