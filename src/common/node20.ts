/**
 * Node 20 lacks `Promise.withResolvers`, which libp2p 3 calls: without it every dial fails as a bare ECONNRESET.
 * Imported first by the command line and by tests that build nodes. Goes when the floor is Node 22.
 */

interface WithResolvers {
  withResolvers?: <T>() => {
    promise: Promise<T>
    resolve: (value: T | PromiseLike<T>) => void
    reject: (reason?: unknown) => void
  }
}

const promiseConstructor = Promise as unknown as WithResolvers

promiseConstructor.withResolvers ??= <T>() => {
  let resolve!: (value: T | PromiseLike<T>) => void
  let reject!: (reason?: unknown) => void
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}
