/** What a function of expressions is, and how it takes its arguments. */
import { FerryError } from '../../errors.ts'
import { shownValue, type Value } from './values.ts'

/** Time and chance as expressions see them. */
export interface Clock {
  /** Milliseconds since 1970. */
  readonly now: number
  uuid(): string
  /** A random integer from 0 to below `span`. */
  below(span: bigint): bigint
}

export interface FunctionOf {
  name: string
  least: number
  most: number
  of: (args: Value[], clock?: Clock) => Value
  /** Gets its arguments unevaluated, so that those that are not needed may fail. */
  lazy?: (args: (() => Value)[]) => Value
}

export function define(name: string, least: number, most: number, of: FunctionOf['of']): FunctionOf {
  return { name, least, most, of }
}

export function defineLazy(
  name: string,
  least: number,
  most: number,
  lazy: (args: (() => Value)[]) => Value,
): FunctionOf {
  return { name, least, most, lazy, of: args => lazy(args.map(a => () => a)) }
}

/** Throws FERRY-7003: what an argument has to be, and what it is. */
export function wrongArgument(at: number, what: string, got: Value): FerryError {
  return new FerryError('FERRY-7003', `argument ${at + 1} has to be ${what}, and is ${shownValue(got)}`)
}

export function textAt(args: Value[], at: number): string {
  const value = args[at]!
  if (typeof value === 'string') return value
  throw wrongArgument(at, 'a text', value)
}

/** A text; undefined where it is left out or null. */
export function optionalText(args: Value[], at: number): string | undefined {
  const value = args[at]
  return value === undefined || value === null ? undefined : textAt(args, at)
}

export function integerAt(args: Value[], at: number): bigint {
  const value = args[at]!
  if (typeof value === 'bigint') return value
  // A whole number that a division of floats has made counts.
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value)
  throw wrongArgument(at, 'an integer', value)
}

/** An integer that lengths and counts can have. */
export function countAt(args: Value[], at: number): number {
  const value = integerAt(args, at)
  if (value >= -(2n ** 31n) && value < 2n ** 31n) return Number(value)
  throw wrongArgument(at, 'an integer of 32 bits', args[at]!)
}

export function numberAt(args: Value[], at: number): bigint | number {
  const value = args[at]!
  if (typeof value === 'bigint' || typeof value === 'number') return value
  throw wrongArgument(at, 'a number', value)
}

export function listAt(args: Value[], at: number): Value[] {
  const value = args[at]!
  if (Array.isArray(value)) return value
  throw wrongArgument(at, 'an array', value)
}
