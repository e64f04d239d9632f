#!/usr/bin/env node
/** Starts the compiled command line. `npm ci` builds it; the npm package carries it. */
try {
  // What scripts and installers ask first needs nothing of the command line.
  if (process.argv.length === 3 && process.argv[2] === '--version') {
    const { readVersion } = await import('../dist/bundle/cli/version.js')
    process.stdout.write(`${readVersion()}\n`)
  } else {
    await import('../dist/bundle/cli/main.js')
  }
} catch (error) {
  if (error?.code !== 'ERR_MODULE_NOT_FOUND' || !/cli\/(main|version)\.js/.test(error.message)) throw error
  process.stderr.write(
    'error: p2p is not built: dist/ is missing.\nhint: Run "npm ci" in the folder of p2p, it builds.\n',
  )
  process.exitCode = 1
}
