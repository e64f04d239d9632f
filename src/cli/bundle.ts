/**
 * Loads the files into which the command line is joined (`.rolldown.config.js`), with the code that V8 has made of them
 * before: compiling anew takes a third of the processor time of a short command. Used by `bin/p2p.js`, and by
 * `.code-cache.js`, which has the code made when the program is built.
 *
 * Code that is missing, or that another version of V8 made, is compiled as ever.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { Script } from 'node:vm'

type Wrapper = (
  exports: unknown,
  require: (id: string) => unknown,
  module: object,
  path: string,
  folder: string,
) => void

export class Bundle {
  readonly #folder: string
  readonly #codeFolder: string
  readonly #requireOther: NodeJS.Require
  readonly #modules = new Map<string, { exports: unknown }>()
  readonly #scripts = new Map<string, Script>()

  /** @param folder - of the files, which are CommonJS and name each other as `./<name>` */
  constructor(folder: string) {
    this.#folder = folder
    // V8 itself looks at its version and flags, not at the processor.
    this.#codeFolder = join(folder, `code-${process.arch}`)
    this.#requireOther = createRequire(join(folder, 'main.js'))
  }

  /** What the file exports; it is run at the first call. */
  load(name: string): unknown {
    const known = this.#modules.get(name)
    if (known !== undefined) return known.exports
    const path = join(this.#folder, name)
    const source = readFileSync(path, 'utf8')
    const script = new Script(`(function (exports, require, module, __filename, __dirname) {${source}\n})`, {
      filename: path,
      cachedData: this.#codeOf(name),
    })
    this.#scripts.set(name, script)
    const module = { exports: {} }
    this.#modules.set(name, module)
    const require = (id: string) => (id.startsWith('./') ? this.load(id.slice(2)) : this.#requireOther(id))
    const run: Wrapper = script.runInThisContext()
    run.call(module.exports, module.exports, require, module, path, this.#folder)
    return module.exports
  }

  /** Keeps the code of what has been loaded, with all functions that have been called until now. */
  saveCode(): void {
    mkdirSync(this.#codeFolder, { recursive: true })
    for (const [name, script] of this.#scripts) {
      writeFileSync(join(this.#codeFolder, name), new Uint8Array(script.createCachedData()))
    }
  }

  #codeOf(name: string): Buffer | undefined {
    try {
      return readFileSync(join(this.#codeFolder, name))
    } catch {
      return undefined
    }
  }
}
