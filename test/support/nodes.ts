/** Nodes for tests, made as the default profile makes them. */

import type { BlockStore } from '../../src/blockstore/blockstore.ts'
import type { DirectoryEntry } from '../../src/unixfs/directory-entry.ts'
import * as hamt from '../../src/unixfs/hamt.ts'
import { importSettings } from '../../src/unixfs/import-settings.ts'
import { linkTo, type NodeLink, type NodeRef, NodeWriter } from '../../src/unixfs/node-writer.ts'
import * as nodes from '../../src/unixfs/nodes.ts'
import type { UnixfsData } from '../../src/unixfs/unixfs-data.ts'

type Sink = Pick<BlockStore, 'put'>

const settings = importSettings()

export function nodeWriter(store: Sink): NodeWriter {
  return new NodeWriter(store, settings)
}

export async function buildDirectory(entries: DirectoryEntry[], store: Sink): Promise<NodeRef> {
  return await nodes.buildDirectory(linksTo(entries), nodeWriter(store), settings)
}

export async function buildShards(entries: DirectoryEntry[], store: Sink): Promise<NodeRef> {
  return await hamt.buildShards(linksTo(entries), nodeWriter(store), { fanout: settings.maxHamtFanout })
}

export async function buildSymlink(target: string, store: Sink): Promise<NodeRef> {
  return await nodes.buildSymlink(target, nodeWriter(store))
}

/** A node of any kind; its links have to be in their order. */
export async function saveNode(unixfs: UnixfsData, links: DirectoryEntry[], store: Sink): Promise<NodeRef> {
  return await nodeWriter(store).save(unixfs, linksTo(links))
}

function linksTo(entries: DirectoryEntry[]): NodeLink[] {
  return entries.map(({ name, ...node }) => linkTo(name, node))
}
