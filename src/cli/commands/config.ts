/** `p2p config`: the settings of the user. Reading them needs no repo. */

import { assertSetting, loadConfig } from '../../repo/config.ts'
import { resolveLocation } from '../../repo/location.ts'
import { defaultConfig, SETTING_NAMES, type SettingName, toWords } from '../../repo/settings.ts'
import { columns } from '../columns.ts'
import { type Context, runOperation } from '../context.ts'
import type { HoldFlags } from '../flags.ts'
import type { Outcome } from '../outcome.ts'

/** @throws P2PError `usage` for a `--repo` that names nothing */
export async function configPath(context: Context): Promise<Outcome> {
  const path = configFile(context)
  context.output.resultLine(path)
  return { result: { path }, summary: [] }
}

/** One line a word of the value, as `config set` takes them. @throws P2PError `usage`, `bad-config`, `io` */
export async function configGet(context: Context, name: string): Promise<Outcome> {
  assertSetting(name)
  const value = (await loadConfig(configFile(context)))[name]
  for (const word of toWords(name, value)) context.output.resultLine(word)
  return { result: { name, value }, summary: [] }
}

/** What wins over the file, where it is set. */
const VARIABLES: Partial<Record<SettingName, string>> = {
  bootstrap: 'P2P_BOOTSTRAP',
  'limits.up': 'P2P_LIMIT_UP',
  'limits.down': 'P2P_LIMIT_DOWN',
  'limits.lan': 'P2P_LIMIT_LAN',
}

/** @throws P2PError `bad-config`, `io` */
export async function configList(context: Context): Promise<Outcome> {
  const config = await loadConfig(configFile(context))
  const defaults = defaultConfig()
  const { env } = context
  const overridden: Partial<Record<SettingName, string>> = {}
  for (const name of SETTING_NAMES) {
    const variable = VARIABLES[name]
    if (variable !== undefined && env[variable]) overridden[name] = variable
  }
  const rows = SETTING_NAMES.map((name) => {
    const value = toWords(name, config[name]).join(' ')
    const variable = overridden[name]
    const notes = [
      ...(value === toWords(name, defaults[name]).join(' ') ? ['default'] : []),
      ...(variable === undefined ? [] : [`${variable}=${env[variable]} wins over it`]),
    ]
    return [name, notes.length === 0 ? value : `${value}  (${notes.join('; ')})`]
  })
  for (const line of columns(rows)) context.output.resultLine(line)
  return { result: { settings: config, overridden }, summary: [] }
}

/** @throws P2PError `usage`, `bad-config`, `io`, `disk-full`, `repo-held` */
export async function configSet(
  context: Context,
  name: string,
  words: string[],
  { timeout }: HoldFlags,
): Promise<Outcome> {
  assertSetting(name)
  const needs = { command: 'p2p config set', holdTimeoutMs: timeout }
  const { holder, ...result } = await runOperation(context, needs, 'config-set', { name, words })
  const isOwn = holder.pid === process.pid
  return {
    result,
    summary: [
      `Saved in ${result.path}.`,
      ...(isOwn ? [] : [`\`${holder.command}\` (pid ${holder.pid}) goes by it when it is started again.`]),
    ],
  }
}

function configFile({ flags, env, home, cwd }: Context): string {
  return resolveLocation({ repo: flags.repo, env, home, cwd }).configFile
}
