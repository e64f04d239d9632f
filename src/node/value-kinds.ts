/**
 * What an option of an operation may hold when it comes from another process: plain values, as JSON carries them. A `?`
 * at the end stands for an option that may be left out. Checked by `rpc/values.ts`.
 */

type Kind = 'boolean' | 'number' | 'number or null' | 'string' | 'strings' | 'path' | 'paths'

/** A list names the words that are allowed; `undefined` among them stands for an option that may be left out. */
export type ValueKind = Kind | `${Kind}?` | readonly (string | undefined)[]

/** Numbers are whole, none below zero; a path is absolute. */
type KindOf<T> = [T] extends [boolean]
  ? 'boolean'
  : [T] extends [number]
    ? 'number'
    : [T] extends [number | null]
      ? 'number or null'
      : [T] extends [string]
        ? 'string' | 'path'
        : [T] extends [readonly string[]]
          ? 'strings' | 'paths'
          : never

type OptionKind<T> = [NonNullable<T>] extends [string]
  ? string extends T
    ? undefined extends T
      ? `${KindOf<Exclude<T, undefined>>}?`
      : KindOf<T>
    : readonly T[]
  : undefined extends T
    ? `${KindOf<Exclude<T, undefined>>}?`
    : KindOf<T>

/** What is not data, and has its own way to the other process. */
type Channel = 'signal' | 'onProgress' | 'onEvent' | 'content' | 'write'

/** The kind of every option that is data: one that is not listed does not compile. */
export type OptionKinds<Options, NotSent extends PropertyKey = never> = {
  readonly [Name in Exclude<keyof Options, Channel | NotSent>]-?: OptionKind<Options[Name]>
}
