/** A data flow script as a tree. */
import type { Place } from './tokens.ts'

export type TypeNode =
  | { kind: 'simple'; name: string; arguments: number[] }
  | { kind: 'struct'; fields: { name: string; type: TypeNode }[] }
  | { kind: 'array'; of: TypeNode }
  | { kind: 'map'; key: TypeNode; value: TypeNode }

export type Expression = Place &
  (
    | { kind: 'name'; name: string }
    /** `stream@column`. */
    | { kind: 'origin'; stream: string; name: string }
    | { kind: 'text'; value: string; quote: string }
    | { kind: 'number'; text: string; suffix?: string }
    | { kind: 'parameter'; name: string }
    /** `$$`, `$1`: the column that a pattern has matched, or the name of one. */
    | { kind: 'pattern'; name: string }
    /** `#item`, `#index`, `#acc`: what a function of an array gives its expression. */
    | { kind: 'item'; name: string }
    | { kind: 'call'; name: string; args: Argument[] }
    /** `sink1#lookup(key)`. */
    | { kind: 'cached'; sink: string; name: string; args: Argument[] }
    | { kind: 'member'; of: Expression; name: string }
    | { kind: 'index'; of: Expression; index: Expression }
    | { kind: 'unary'; operator: '-' | '!'; of: Expression }
    | { kind: 'binary'; operator: string; left: Expression; right: Expression }
    | { kind: 'array'; items: Expression[] }
    | { kind: 'map'; entries: { key: Expression; value: Expression }[] }
    /** `@(name = value)`. */
    | { kind: 'struct'; args: Argument[] }
    /** `value ? type`. */
    | { kind: 'typed'; of: Expression; type: TypeNode }
  )

export type Argument =
  | { kind: 'value'; value: Expression }
  /** `name: value`, where the value may be missing. */
  | (Place & { kind: 'property'; name: string; value: Expression | undefined })
  /** `name = value`; the name may be an expression of a pattern. */
  | { kind: 'assignment'; to: Expression; value: Expression }
  /** `name as type 'format'`. */
  | { kind: 'column'; of: Expression; type: TypeNode; formats: Expression[] }

export interface StreamName {
  name: string
  /** Of a split: the branch. */
  branch?: string
}

export interface Statement extends Place {
  inputs: StreamName[]
  /** `source`, `derive`, `join`, ... */
  kind: string
  args: Argument[]
  output: string
  /** The branches of a split. */
  branches: string[]
}

export interface Script {
  parameters: { name: string; type: TypeNode; default?: Expression }[]
  statements: Statement[]
}
