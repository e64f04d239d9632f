/** Flags of the commands that import: what is taken in, and what decides the CID. */

import type { Command } from 'commander'
import { collect, parseMode, parseNumber } from '../flags.ts'

const WHAT = 'What is taken in:'
const HOW = 'What decides the CID, each as in Kubo:'

export function addImportFlags(command: Command): Command {
  command
    .option('--name <name>', 'a name for it in "pin ls" (default: that of the file or folder)')
    .optionsGroup(WHAT)
    .option('--hidden', 'take in files and folders whose name starts with a dot')
    .option('--ignore <pattern>', 'leave out what matches, by the rules of gitignore; repeats', collect)
    .option('--ignore-file <path>', 'file of such patterns, one a line; repeats', collect)
    .option('--empty-dirs', 'take in folders that have nothing in them (default)')
    .option('--no-empty-dirs', 'leave them out')
    .option('--dereference-symlinks', 'take in what links point to, in place of the links')
    .option('-w, --wrap', 'make one folder of all paths, so that names are kept; its CID is the only one')
    .option('--nocopy', 'serve files from where they stand, as long as nobody changes them')
    .option('--rehash', 'read files too that have not changed since they were added')
  return command
    .optionsGroup(HOW)
    .option('--profile <name>', 'unixfs-v1-2025 or unixfs-v0-2015 (default: unixfs-v1-2025)')
    .option('--cid-version <0|1>', 'version of CIDs', numberOf('--cid-version'))
    .option('--raw-leaves', 'leaves are blocks of content alone')
    .option('--no-raw-leaves', 'leaves are UnixFS nodes')
    .option('--chunker <how>', 'size-N, rabin, rabin-AVERAGE, rabin-MIN-AVERAGE-MAX or buzhash')
    .option('--trickle', 'a tree that is made for reading from its start')
    .option('--max-file-links <n>', 'most links of a node of a file', numberOf('--max-file-links'))
    .option(
      '--max-directory-links <n>',
      'most entries of a folder before it is sharded; 0 for no limit but its size',
      numberOf('--max-directory-links'),
    )
    .option('--max-hamt-fanout <n>', 'width of a sharded folder, 8 to 1024', numberOf('--max-hamt-fanout'))
    .option('--hash <name>', 'hash function: sha2-256, sha2-512, …')
    .option('--inline', 'put small blocks into their CIDs')
    .option('--inline-limit <bytes>', 'largest block to put there, up to 128 (default: 32)', numberOf('--inline-limit'))
    .option('--preserve-mode', 'keep permissions')
    .option('--preserve-mtime', 'keep times of last change')
    .option('--mode <mode>', 'permissions for every file and folder, as 0644', (text) => parseMode(text, '--mode'))
    .option('--mtime <seconds>', 'time of last change for every entry, in seconds since 1970')
}

function numberOf(flag: string): (text: string) => number {
  return (text) => parseNumber(text, flag)
}
