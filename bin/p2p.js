#!/usr/bin/env node
/** Starts the compiled command line. `npm ci` builds it; the npm package carries it. */
try {
  await import('../dist/src/cli/main.js')
} catch (error) {
  if (error?.code !== 'ERR_MODULE_NOT_FOUND' || !String(error.message).includes('cli/main.js')) throw error
  process.stderr.write(
    'error: p2p is not built: dist/ is missing.\nhint: Run "npm ci" in the folder of p2p, it builds.\n',
  )
  process.exitCode = 1
}
