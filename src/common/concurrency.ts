/** Doing many small things at the same time, but not all of them. */

/**
 * The results of `work` for every item, in the order of the items, with at most `limit` calls under way. After the first
 * failure no further call starts; it is thrown once those under way have ended.
 */
export async function mapBounded<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length)
  const failures: unknown[] = []
  let next = 0
  const lane = async () => {
    while (next < items.length && failures.length === 0) {
      const index = next++
      try {
        results[index] = await work(items[index]!)
      } catch (error) {
        failures.push(error)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane))
  if (failures.length > 0) throw failures[0]
  return results
}

/**
 * The results of `work` for every item, one by one and in the order of the items, while at most `limit` calls are under
 * way or waiting to be taken. The first failure ends it.
 */
export async function* mapAhead<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  limit: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const begun: Promise<R>[] = []
  for await (const item of items) {
    const result = work(item)
    // Whoever takes it sees the failure; until then it must not count as unhandled.
    result.catch(() => {})
    begun.push(result)
    if (begun.length >= limit) yield await begun.shift()!
  }
  for (const result of begun) yield await result
}
