/**
 * Joins the command line and its libraries into the few files that `bin/p2p.js` starts: finding and loading some 900
 * modules one by one costs half of the start of a `get`.
 */

import { readdirSync } from 'node:fs'
import { basename } from 'node:path'

/** Started by their path, beside the file that starts them. */
const workers = readdirSync('src', { recursive: true })
  .filter((path) => path.endsWith('-worker.ts'))
  .map((path) => [basename(path, '.ts'), `src/${path}`])

export default {
  input: { main: 'src/cli/main.ts', version: 'src/cli/version.ts', ...Object.fromEntries(workers) },
  platform: 'node',
  // Brings compiled code that it looks for beside itself.
  external: ['classic-level'],
  output: { dir: 'dist/bundle/cli', cleanDir: true, chunkFileNames: '[name]-[hash].js' },
}
