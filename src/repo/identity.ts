/**
 * The key that names this node to others: Ed25519, as libp2p's protobuf in a file that only its owner can read. Loaded
 * by `repo.ts` when something first goes online.
 * @see https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md#keys
 */

import { open } from 'node:fs/promises'
import {
  generateKeyPair,
  generateKeyPairFromSeed,
  privateKeyFromProtobuf,
  privateKeyToProtobuf,
} from '@libp2p/crypto/keys'
import type { Ed25519PrivateKey } from '@libp2p/interface'
import { errnoOf, localIoError, P2PError } from '../common/errors.ts'
import { writeFileDurably } from './durable-files.ts'

const OTHERS_MAY_ACCESS = 0o077
const SEED_BYTES = 32

/**
 * The key in `file`; a new one is made if the file does not exist. The caller holds the repo's lock.
 *
 * @throws P2PError `bad-config` if others can read it or it is damaged; `io`, `disk-full`
 */
export async function loadIdentity(file: string): Promise<Ed25519PrivateKey> {
  const stored = await readPrivateFile(file)
  if (stored !== undefined) return await decodeKey(stored, file)
  const key = await generateKeyPair('Ed25519')
  try {
    await writeFileDurably(file, privateKeyToProtobuf(key))
  } catch (error) {
    throw localIoError(error, 'write the key', file)
  }
  return key
}

async function readPrivateFile(file: string): Promise<Uint8Array | undefined> {
  try {
    const handle = await open(file, 'r')
    try {
      const { mode } = await handle.stat()
      if ((mode & OTHERS_MAY_ACCESS) !== 0) {
        const octal = (mode & 0o777).toString(8).padStart(4, '0')
        throw new P2PError('bad-config', `The key ${file} is open to other users (mode ${octal})`, {
          hint: `Run: chmod 600 '${file}'`,
        })
      }
      return await handle.readFile()
    } finally {
      await handle.close()
    }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw localIoError(error, 'read the key', file)
  }
}

async function decodeKey(stored: Uint8Array, file: string): Promise<Ed25519PrivateKey> {
  const refuse = (reason: string, cause?: unknown) =>
    new P2PError('bad-config', `The key ${file} ${reason}`, {
      hint: 'Restore it from a backup. If there is none, move it away: a new one is made, and this node gets a new peer id.',
      cause,
    })
  let key: ReturnType<typeof privateKeyFromProtobuf>
  try {
    key = privateKeyFromProtobuf(stored)
  } catch (cause) {
    throw refuse('is damaged', cause)
  }
  if (key.type !== 'Ed25519') throw refuse(`is of type ${key.type}; only Ed25519 is used`)
  // The file holds the seed and the public key that follows from it; decoding does not compare them.
  const expected = await generateKeyPairFromSeed('Ed25519', key.raw.subarray(0, SEED_BYTES))
  if (!key.equals(expected)) throw refuse('is damaged')
  return key
}
