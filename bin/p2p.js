#!/usr/bin/env node
/** Starts the compiled command line. `npm ci` builds it; the npm package carries it. */
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('../dist/bundle/cli', import.meta.url))
const require = createRequire(import.meta.url)
try {
  // What scripts and installers ask first needs nothing of the command line.
  if (process.argv.length === 3 && process.argv[2] === '--version') {
    const { readVersion } = require(`${folder}/version.js`)
    process.stdout.write(`${readVersion()}\n`)
  } else {
    const { Bundle } = require(`${folder}/bundle.js`)
    new Bundle(folder).load('main.js')
  }
} catch (error) {
  if (error?.code !== 'MODULE_NOT_FOUND' || !/cli\/(bundle|version)\.js/.test(error.message)) throw error
  process.stderr.write(
    'error: p2p is not built: dist/ is missing.\nhint: Run "npm ci" in the folder of p2p, it builds.\n',
  )
  process.exitCode = 1
}
