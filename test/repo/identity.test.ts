import assert from 'node:assert/strict'
import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { generateKeyPair, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import { P2PError } from '../../src/common/errors.ts'
import { loadIdentity } from '../../src/repo/identity.ts'
import { damaged } from '../support/blocks.ts'
import { makeTempDir } from '../support/temp.ts'

test('makes a key that only its owner can read, and gives the same one ever after', async (t) => {
  const folder = await makeTempDir(t)
  const file = join(folder, 'identity.key')
  // Left by a run that was killed while it wrote.
  await writeFile(`${file}.new`, 'half')
  const key = await loadIdentity(file)
  assert.equal(key.type, 'Ed25519')
  assert.equal((await stat(file)).mode & 0o777, 0o600)
  assert.deepEqual(await readdir(folder), ['identity.key'])
  assert.ok((await loadIdentity(file)).equals(key))
})

test('refuses a key that others can read, and says what to run', async (t) => {
  const file = join(await makeTempDir(t), 'identity.key')
  await loadIdentity(file)
  for (const mode of [0o640, 0o604, 0o620]) {
    await chmod(file, mode)
    await assert.rejects(loadIdentity(file), (error) => {
      assert.ok(error instanceof P2PError)
      assert.equal(error.code, 'bad-config')
      assert.match(error.message, new RegExp(`mode 0${mode.toString(8)}`))
      assert.equal(error.hint, `Run: chmod 600 '${file}'`)
      return true
    })
  }
})

test('refuses a damaged key and leaves it alone', async (t) => {
  const file = join(await makeTempDir(t), 'identity.key')
  const good = privateKeyToProtobuf(await generateKeyPair('Ed25519'))
  const otherHalf = damaged(good)
  const publicPart = Uint8Array.from(good)
  publicPart[publicPart.byteLength - 1]! ^= 1
  const secp256k1 = privateKeyToProtobuf(await generateKeyPair('secp256k1'))
  for (const content of [
    new Uint8Array(),
    good.subarray(0, 40),
    otherHalf,
    publicPart,
    Buffer.from('key'),
    secp256k1,
  ]) {
    await writeFile(file, content, { mode: 0o600 })
    await assert.rejects(loadIdentity(file), (error) => {
      assert.ok(error instanceof P2PError)
      assert.equal(error.code, 'bad-config')
      assert.ok(error.message.includes(file))
      return true
    })
    assert.deepEqual(await readFile(file), Buffer.from(content))
  }
})
