/**
 * Joins the command line and its libraries into the few files that `bin/p2p.js` starts: finding and loading some 900
 * modules one by one costs half of the start of a `get`. As CommonJS, which unlike ES modules can be loaded with code that
 * was compiled before.
 */

import { readdirSync } from 'node:fs'
import { basename } from 'node:path'

/** Started by their path, beside the file that starts them. */
const workers = readdirSync('src', { recursive: true })
  .filter((path) => path.endsWith('-worker.ts'))
  .map((path) => [basename(path, '.ts'), `src/${path}`])

/** Compiled code, which is looked for beside the file that asks for it. */
const compiledDatabase = {
  name: 'compiled-database',
  resolveId(source, importer) {
    const isBinding = source === './binding' && importer?.includes('/classic-level/') === true
    return isBinding ? { id: 'classic-level/binding.js', external: true } : null
  },
}

/** The package around is one of ES modules. */
const packageOfCommonJs = {
  name: 'package-of-common-js',
  generateBundle() {
    this.emitFile({ type: 'asset', fileName: 'package.json', source: '{ "type": "commonjs" }\n' })
  },
}

export default {
  input: {
    main: 'src/cli/main.ts',
    version: 'src/cli/version.ts',
    bundle: 'src/cli/bundle.ts',
    ...Object.fromEntries(workers),
  },
  platform: 'node',
  plugins: [compiledDatabase, packageOfCommonJs],
  output: { dir: 'dist/bundle/cli', format: 'cjs', cleanDir: true, chunkFileNames: '[name]-[hash].js' },
}
