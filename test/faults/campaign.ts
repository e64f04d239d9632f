/** What a campaign is: one kind of fault, tried at many points, with what must hold after each. Run by `main.ts`. */

import type { CleanUpScope } from '../support/clean-up.ts'
import type { Sample } from './sample.ts'

/** What a campaign gets to work with. */
export interface Ground {
  /** Ends with the campaign. */
  scope: CleanUpScope
  /** Empty, and removed with the scope. */
  folder: string
  sample: Sample
}

export interface Findings {
  /** How often the fault was seen to have happened. */
  points: number
  /** Each a sentence that names the point. */
  violations: string[]
  /** Remarks for people. */
  notes?: string[]
}

export interface Campaign {
  name: string
  /** What is done, and what must hold. */
  title: string
  /** A full run has to reach so many points. */
  atLeast: number
  /** @throws Error if it cannot be run here */
  run(ground: Ground): Promise<Findings>
}
