/**
 * Undoing what tests, the demo and the benches made: in the reverse order of making, after a test however it ended, and
 * at the end of the process when it is ended by a signal or an error.
 */

import { constants } from 'node:os'

/** What {@link cleanUpAfter} needs of a `node:test` context. */
export interface CleanUpScope {
  after(action: () => Promise<void>): void
}

type Action = () => Promise<void> | void

const scopes = new WeakMap<CleanUpScope, Action[]>()
const exitActions = new Set<() => void>()
let watchingExit = false

/** Runs `action` when the test ends, before everything that was registered earlier for the same test. */
export function cleanUpAfter(scope: CleanUpScope, action: Action): void {
  let actions = scopes.get(scope)
  if (actions === undefined) {
    actions = []
    scopes.set(scope, actions)
    scope.after(() => runNewestFirst(scope))
  }
  actions.push(action)
}

async function runNewestFirst(scope: CleanUpScope): Promise<void> {
  const errors: unknown[] = []
  for (const action of (scopes.get(scope) ?? []).reverse()) {
    try {
      await action()
    } catch (error) {
      errors.push(error)
    }
  }
  scopes.delete(scope)
  if (errors.length > 0) throw errors[0]
}

/** A scope that whoever opened it ends. */
export interface OpenScope extends CleanUpScope {
  end(): Promise<void>
}

export function openScope(): OpenScope {
  const actions: (() => Promise<void>)[] = []
  return {
    after: (action) => {
      actions.push(action)
    },
    end: async () => {
      for (const action of actions.splice(0)) await action()
    },
  }
}

/** A scope for programs that are not tests: everything registered for it is undone when `body` ends. */
export async function withCleanUp<T>(body: (scope: CleanUpScope) => Promise<T>): Promise<T> {
  const scope = openScope()
  try {
    return await body(scope)
  } finally {
    await scope.end()
  }
}

/**
 * Runs `action` when the process ends, newest first, also when SIGINT, SIGTERM or SIGHUP ends it. For what must not
 * outlive the process: the action has to be synchronous.
 * @returns a function that forgets the action
 */
export function atExit(action: () => void): () => void {
  watchExit()
  exitActions.add(action)
  return () => exitActions.delete(action)
}

function watchExit(): void {
  if (watchingExit) return
  watchingExit = true
  process.on('exit', () => {
    for (const action of [...exitActions].reverse()) action()
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => process.exit(128 + constants.signals[signal]))
  }
}
