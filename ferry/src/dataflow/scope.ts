/** What an expression sees: columns, parameters, items of arrays. */
import { type ErrorCode, FerryError } from '../errors.ts'
import type { Place } from './script/tokens.ts'
import type { Expression } from './script/tree.ts'
import type { FlowType } from './types.ts'

/** An expression of the engine and its type; `many` for all columns at once. */
export interface Value {
  sql: string
  type: FlowType
  many?: Value[]
  /** The text of a literal, for what has to be known before anything runs. */
  constant?: string
}

export interface Column {
  name: string
  type: FlowType
  /** Its name in SQL, quoted. */
  id: string
  /** The streams that it has come through, nearest first. */
  streams: readonly string[]
  /** Where it was read or last given another value; where it is first in `streams` otherwise. */
  origin?: string | undefined
  /** True if no projection names it. */
  isDrifted?: boolean
}

export interface Scope {
  columns: readonly Column[]
  /** Columns of each input by the names of the streams, where there are several. */
  parameters: ReadonlyMap<string, Value>
  /** `#item`, `#index` and others, within functions of arrays. */
  items: ReadonlyMap<string, Value>
  /** The column that a pattern has matched. */
  matched?: Column | undefined
  /** What functions of groups are over: a group, a window (its clause), or nothing. */
  over?: { kind: 'group'; filter?: string } | { kind: 'window'; clause: string } | undefined
  /** The moment when the flow began, as an ISO text in UTC. */
  startedAt: string
  /** Which of the hidden columns are there: marks, matches, errors. */
  hidden?: readonly string[]
  /** What a cache gives; undefined where there are none. */
  cached?: ((e: Extract<Expression, { kind: 'cached' }>, args: Value[]) => Value) | undefined
  /** Told what is not as Data Factory has it, but is no mistake. */
  note: (text: string) => void
  /** Names of variables of lambdas that are taken. */
  depth: number
}

/** The column of a stream: one of its own comes before one that has only come through it. */
export function columnOf(columns: readonly Column[], name: string, stream: string): Column | undefined {
  const distance = (c: Column) => c.streams.indexOf(stream)
  const found = columns.filter(c => c.name === name && distance(c) >= 0)
  return found.sort((a, b) => distance(a) - distance(b))[0]
}

/** A fault at a place of the script. */
export function flowFault({ line, column }: Place, message: string, code: ErrorCode = 'FERRY-7003'): FerryError {
  return new FerryError(code, `line ${line}, column ${column}: ${message}`)
}

/** What Data Factory has and Ferry does not. */
export const refused = (place: Place, message: string): FerryError => flowFault(place, message, 'FERRY-7006')
