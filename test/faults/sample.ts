/** Which of all points a run tries: every one, or a part that a seed picks. */

import { createHash } from 'node:crypto'

export class Sample {
  readonly seed: string
  /** Of so many points one is tried; 1: all. */
  readonly oneOf: number

  constructor(seed: string, oneOf: number) {
    this.seed = seed
    this.oneOf = oneOf
  }

  /** The points that are tried, in their order; of any at least one. @param name - of what they are points */
  pick<T>(name: string, points: readonly T[]): T[] {
    if (this.oneOf === 1) return [...points]
    const order = points.map((_, index) => ({ index, rank: this.number(`${name} ${index}`) }))
    order.sort((a, b) => a.rank - b.rank)
    const chosen = order.slice(0, this.count(points.length)).map(({ index }) => index)
    return chosen.sort((a, b) => a - b).map((index) => points[index]!)
  }

  /** The part of `all`, rounded up. */
  count(all: number): number {
    return Math.ceil(all / this.oneOf)
  }

  /** A whole number below 2^48, the same for the same name and seed. */
  number(name: string): number {
    return createHash('sha256').update(`${this.seed} ${name}`).digest().readUIntBE(0, 6)
  }
}
