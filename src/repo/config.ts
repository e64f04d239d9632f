/**
 * The user's settings: `config.json`, nested, every key optional. A file that cannot be understood is refused, never
 * rewritten. What settings there are stands in `settings.ts`.
 */

import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errnoOf, localIoError, messageOf, P2PError } from '../common/errors.ts'
import { makeFolder, writeFileDurably } from './durable-files.ts'
import {
  assertConsistent,
  type Config,
  defaultConfig,
  fromWords,
  isSettingName,
  nearestSetting,
  parseSetting,
  SETTING_NAMES,
  type SettingName,
} from './settings.ts'

/**
 * The settings in `file`, and the defaults for those that it leaves out or if it does not exist.
 *
 * @throws P2PError `bad-config`, naming the file and the setting; `io`
 */
export async function loadConfig(file: string): Promise<Config> {
  return (await readConfig(file)).config
}

/** The settings, and the object that the file holds: empty if it does not exist. */
async function readConfig(file: string): Promise<{ config: Config; stored: Record<string, unknown> }> {
  const config = defaultConfig()
  const refuse = (reason: string, options: { hint?: string; cause?: unknown } = {}) =>
    new P2PError('bad-config', `${file}: ${reason}`, options)

  const apply = async (value: unknown, name: string): Promise<void> => {
    if (isSettingName(name)) {
      try {
        Object.assign(config, { [name]: await parseSetting(name, value) })
      } catch (cause) {
        throw refuse(`${name} ${messageOf(cause)}`, { cause })
      }
      return
    }
    const isSection = name === '' || SETTING_NAMES.some((known) => known.startsWith(`${name}.`))
    if (!isSection) {
      throw refuse(`"${name}" is not a setting`, { hint: `The nearest one is "${nearestSetting(name)}".` })
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw refuse(`${name === '' ? 'the file' : name} must be an object, as in { … }`)
    }
    for (const [key, inner] of Object.entries(value)) await apply(inner, name === '' ? key : `${name}.${key}`)
  }

  const text = await readIfThere(file)
  if (text === undefined) return { config, stored: {} }
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (cause) {
    throw refuse(`not valid JSON: ${messageOf(cause)}`, {
      hint: 'Correct the file, or remove it to use the defaults.',
      cause,
    })
  }
  await apply(parsed, '')
  try {
    assertConsistent(config)
  } catch (cause) {
    throw refuse(messageOf(cause), { cause })
  }
  return { config, stored: parsed as Record<string, unknown> }
}

/**
 * Changes one setting, and leaves all else in the file as it is. Durable when it returns. Calls for one file must take
 * turns.
 *
 * @param words - the value as on a command line: several for a list, `none` for an empty one
 * @returns the value that it has from now on
 * @throws P2PError `usage` for a setting that does not exist and a value that it does not take; `bad-config` for a file
 * that is refused as it is; `io`, `disk-full`
 */
export async function changeConfig(file: string, name: string, words: string[]): Promise<unknown> {
  assertSetting(name)
  const written = fromWords(name, words)
  let value: unknown
  try {
    value = await parseSetting(name, written)
  } catch (cause) {
    throw new P2PError('usage', `${name} ${messageOf(cause)}`, {
      hint: `"p2p config get ${name}" shows what it is now.`,
      cause,
    })
  }
  const { config, stored } = await readConfig(file)
  try {
    assertConsistent({ ...config, [name]: value })
  } catch (cause) {
    throw new P2PError('usage', messageOf(cause), { hint: 'Change the other one first.', cause })
  }
  // A name with dots may stand there too.
  delete stored[name]
  const sections = name.split('.')
  const key = sections.pop()!
  let section = stored
  for (const part of sections) {
    section[part] ??= {}
    section = section[part] as Record<string, unknown>
  }
  section[key] = written
  try {
    await makeFolder(dirname(file))
    await writeFileDurably(file, `${JSON.stringify(stored, null, 2)}\n`)
  } catch (error) {
    throw localIoError(error, 'write', file)
  }
  return value
}

/** @throws P2PError `usage`, with the nearest name */
export function assertSetting(name: string): asserts name is SettingName {
  if (isSettingName(name)) return
  throw new P2PError('usage', `"${name}" is not a setting`, {
    hint: `The nearest one is "${nearestSetting(name)}"; "p2p config ls" lists all.`,
  })
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw localIoError(error, 'read', file)
  }
}
