/**
 * What the ecosystem's suite of block stores imports as `aegir/chai`, a package as large as a tool chain: the assertions
 * that it makes, each by `node:assert`. Any other is no function, so that a test which comes to make one fails.
 */

import assert from 'node:assert/strict'

export function expect(actual: unknown) {
  const have = {
    property: (name: string, value?: unknown) => hasProperty(actual, name, value),
    lengthOf: (length: number) => assert.equal((actual as ArrayLike<unknown>).length, length),
  }
  return {
    to: {
      equal: (expected: unknown) => assert.equal(actual, expected),
      deep: { equal: (expected: unknown) => assert.deepEqual(actual, expected) },
      be: {
        true: () => assert.equal(actual, true),
        false: () => assert.equal(actual, false),
        ok: () => assert.ok(actual),
      },
      have,
      eventually: {
        deep: { equal: async (expected: unknown) => assert.deepEqual(await actual, expected) },
        be: { rejected: rejection(actual) },
      },
    },
    of: { have },
  }
}

/** What is asserted of the reason is asserted once the promise has been rejected. */
function rejection(promise: unknown) {
  const reason = Promise.resolve(promise).then(
    () => assert.fail('it was not rejected'),
    (error: unknown) => error,
  )
  // Whoever asserts something sees the failure.
  reason.catch(() => {})
  const property = (name: string, value?: unknown) => {
    const found = reason.then((error) => hasProperty(error, name, value))
    const include = async (part: string) =>
      assert.ok(String(await found).includes(part), `"${await found}" has no "${part}"`)
    return Object.assign(found, { that: { include } })
  }
  return { with: { property } }
}

function hasProperty(object: unknown, name: string, value: unknown): unknown {
  const found = (object as Record<string, unknown>)[name]
  if (value === undefined) assert.notEqual(found, undefined, `${name} is missing`)
  else assert.equal(found, value)
  return found
}
