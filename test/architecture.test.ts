/**
 * The layers of `src/`, held by reading its import statements, type imports too: a folder may import itself and any
 * layer below, folders of one layer never import each other. And which parts may touch the outside: libp2p, the file
 * system, the process.
 */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

/** From the top down. */
const LAYERS = [
  ['cli'],
  ['daemon'],
  ['rpc'],
  ['node'],
  ['bitswap', 'pin'],
  ['unixfs', 'car', 'files', 'exchange', 'routing', 'net', 'repo'],
  ['blockstore'],
  ['database'],
  ['dag'],
  ['common'],
]

interface Import {
  /** A path in `src/`, or the name of a package. */
  target: string
  isTypeOnly: boolean
  isDynamic: boolean
}

interface SourceFile {
  /** In `src/`, as `dag/cid.ts`. */
  path: string
  /** Without its comments. */
  code: string
  imports: Import[]
}

interface Ban {
  what: string
  breaks: (file: SourceFile) => boolean
  allowedIn: RegExp
}

const SOURCE_ROOT = fileURLToPath(new URL('../../src', import.meta.url))

/** A fact, not a way to do something to the process. */
const OWN_PROCESS_ID = /^import \{ pid \} from 'node:process'$/m

const BANS: Ban[] = [
  {
    what: 'libp2p at run time',
    breaks: ({ imports }) =>
      imports.some(({ target, isTypeOnly }) => !isTypeOnly && /^(@libp2p\/|libp2p$)/.test(target)),
    allowedIn: /^(net\/|routing\/dht\.ts|bitswap\/network\.ts|repo\/identity\.ts|dag\/)/,
  },
  {
    what: 'libp2p beyond keys and peer ids',
    breaks: ({ path, imports }) =>
      /^(repo|dag)\//.test(path) &&
      imports.some(
        ({ target, isTypeOnly }) => !isTypeOnly && /^(@libp2p\/(?!crypto(\/|$)|peer-id$)|libp2p$)/.test(target),
      ),
    allowedIn: /^$/,
  },
  {
    what: 'commander or ora',
    breaks: ({ imports }) => imports.some(({ target }) => target === 'commander' || target === 'ora'),
    allowedIn: /^cli\//,
  },
  {
    what: 'the file system',
    breaks: ({ imports }) => imports.some(({ target }) => /^node:fs(\/|$)/.test(target)),
    allowedIn: /^(cli|daemon|rpc|files|repo|blockstore|database)\//,
  },
  {
    what: 'a static import of daemon/ or node/open.ts by the shell',
    breaks: ({ path, imports }) =>
      path.startsWith('cli/') &&
      imports.some(
        ({ target, isTypeOnly, isDynamic }) => !isTypeOnly && !isDynamic && /^(daemon\/|node\/open\.ts)/.test(target),
      ),
    allowedIn: /^$/,
  },
  {
    what: 'process or console',
    breaks: ({ code }) => /\b(process|console)\.\w|'node:(process|console)'/.test(code.replace(OWN_PROCESS_ID, '')),
    allowedIn: /^(cli|daemon)\//,
  },
]

function readSources(): SourceFile[] {
  return readdirSync(SOURCE_ROOT, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => parseSource(path, readFileSync(join(SOURCE_ROOT, path), 'utf8')))
}

function parseSource(path: string, text: string): SourceFile {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1')
  const found: Import[] = []
  const add = (specifier = '', kind: Omit<Import, 'target'>) => {
    const isInside = specifier.startsWith('.')
    const target = isInside ? relative(SOURCE_ROOT, resolve(SOURCE_ROOT, dirname(path), specifier)) : specifier
    found.push({ target, ...kind })
  }
  for (const [, type, , specifier] of code.matchAll(
    /^(?:import|export)\s+(type\s+)?([\w\s{},*$]+?\sfrom\s+)?'([^']+)'/gm,
  )) {
    add(specifier, { isTypeOnly: type !== undefined, isDynamic: false })
  }
  // What `typeof import('…')` names is a type.
  for (const [, typeOf, specifier] of code.matchAll(/(typeof\s+)?\bimport\(\s*'([^']+)'/g)) {
    add(specifier, { isTypeOnly: typeOf !== undefined, isDynamic: true })
  }
  return { path, code, imports: found }
}

function layerOf(path: string): number {
  const [folder = ''] = path.split('/')
  return LAYERS.findIndex((layer) => layer.includes(folder))
}

function folderOf(path: string): string {
  return path.split('/')[0] ?? ''
}

function layerViolations(files: SourceFile[]): string[] {
  return files.flatMap(({ path, imports }) =>
    imports
      .map(({ target }) => target)
      .filter((target) => target.endsWith('.ts'))
      .filter((target) => folderOf(target) !== folderOf(path) && !(layerOf(target) > layerOf(path)))
      .map((target) => `${path} imports ${target}`),
  )
}

function banViolations(files: SourceFile[]): string[] {
  return files.flatMap((file) =>
    BANS.filter(({ breaks, allowedIn }) => !allowedIn.test(file.path) && breaks(file)).map(
      ({ what }) => `${file.path} uses ${what}`,
    ),
  )
}

/** Each cycle once, as the path around it. */
function findCycles(files: SourceFile[]): string[] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const cycles: string[] = []
  const done = new Set<string>()
  const visit = (path: string, trail: string[]): void => {
    const start = trail.indexOf(path)
    if (start !== -1) {
      cycles.push([...trail.slice(start), path].join(' -> '))
      return
    }
    if (done.has(path)) return
    for (const { target } of byPath.get(path)?.imports ?? []) visit(target, [...trail, path])
    done.add(path)
  }
  for (const { path } of files) visit(path, [])
  return cycles
}

describe('the source tree', () => {
  const files = readSources()

  it('has every folder in a layer, and every import leads to a file', () => {
    const paths = new Set(files.map(({ path }) => path))
    assert.ok(files.length > 30, `${files.length} files found`)
    assert.deepEqual(
      files.filter(({ path }) => layerOf(path) === -1).map(({ path }) => path),
      [],
    )
    const missing = files.flatMap(({ path, imports }) =>
      imports
        .filter(({ target }) => target.endsWith('.ts') && !paths.has(target))
        .map(({ target }) => `${path} -> ${target}`),
    )
    assert.deepEqual(missing, [])
  })

  it('imports downwards only', () => assert.deepEqual(layerViolations(files), []))

  it('keeps the outside to the parts that are made for it', () => assert.deepEqual(banViolations(files), []))

  it('has no cycles', () => assert.deepEqual(findCycles(files), []))
})

describe('the checks themselves', () => {
  const check = (path: string, text: string) => {
    const file = parseSource(path, text)
    return [...layerViolations([file]), ...banViolations([file])]
  }

  it('see imports in every form', () => {
    const { imports } = parseSource(
      'dag/x.ts',
      `import '../common/a.ts'
import type { B } from '../common/b.ts'
import c, { type C } from './c.ts'
import {
  d,
  type D,
} from '@scope/d'
export * from './e.ts'
export type { F } from './f.ts'
export const notAnImport = "from './g.ts'"
const h = await import('./h.ts')
type I = typeof import('./i.ts')
// import './j.ts'
/*
import './k.ts'
*/
import * as l from 'node:l'
`,
    )
    assert.deepEqual(
      imports.map(
        ({ target, isTypeOnly, isDynamic }) => `${target}${isTypeOnly ? ' type' : ''}${isDynamic ? ' dynamic' : ''}`,
      ),
      [
        'common/a.ts',
        'common/b.ts type',
        'dag/c.ts',
        '@scope/d',
        'dag/e.ts',
        'dag/f.ts type',
        'node:l',
        'dag/h.ts dynamic',
        'dag/i.ts type dynamic',
      ],
    )
  })

  const violations: [string, string][] = [
    ['common/x.ts', `import { parseCid } from '../dag/cid.ts'`],
    ['dag/x.ts', `import type { Database } from '../database/database.ts'`],
    ['dag/x.ts', `const database = await import('../database/database.ts')`],
    ['net/x.ts', `import { Repo } from '../repo/repo.ts'`],
    ['bitswap/client/x.ts', `export type { Pins } from '../../pin/pins.ts'`],
    ['unixfs/x.ts', `import { createLibp2p } from 'libp2p'`],
    ['unixfs/x.ts', `import { peerIdFromString } from '@libp2p/peer-id'`],
    ['dag/x.ts', `import { noise } from '@libp2p/noise'`],
    ['daemon/x.ts', `import { Command } from 'commander'`],
    ['node/x.ts', `import { readFile } from 'node:fs/promises'`],
    ['cli/x.ts', `import { runServe } from '../daemon/serve.ts'`],
    ['cli/commands/x.ts', `import { openNode } from '../../node/open.ts'`],
    ['node/x.ts', `const folder = process.cwd()`],
    ['node/x.ts', `import { env } from 'node:process'`],
    ['files/x.ts', `console.log('here')`],
    ['repo/x.ts', `import { pid, kill } from 'node:process'`],
  ]
  for (const [path, text] of violations) {
    it(`see ${text} in ${path}`, () => assert.equal(check(path, text).length, 1))
  }

  const allowed: [string, string][] = [
    ['net/x.ts', `import { createLibp2p } from 'libp2p'`],
    ['unixfs/x.ts', `import type { PeerId } from '@libp2p/interface'`],
    ['repo/identity.ts', `const { keys } = await import('@libp2p/crypto/keys')`],
    ['cli/commands/x.ts', `const { openNode } = await import('../../node/open.ts')`],
    ['cli/x.ts', `import type { NodeOptions } from '../node/open.ts'`],
    ['node/x.ts', `// process.exit() is left to the shell`],
    ['repo/x.ts', `import { pid } from 'node:process'`],
  ]
  for (const [path, text] of allowed) {
    it(`let pass ${text} in ${path}`, () => assert.deepEqual(check(path, text), []))
  }

  it('see a cycle', () => {
    const files = [
      parseSource('dag/a.ts', `import './b.ts'`),
      parseSource('dag/b.ts', `import type { C } from './c.ts'`),
      parseSource('dag/c.ts', `import './a.ts'`),
    ]
    assert.deepEqual(findCycles(files), ['dag/a.ts -> dag/b.ts -> dag/c.ts -> dag/a.ts'])
  })
})
