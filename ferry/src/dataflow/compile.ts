/** Expressions of data flows as SQL of DuckDB, with their types. */
import { didYouMean, FerryError } from '../errors.ts'
import { converted } from './convert.ts'
import { listOf } from './functions/arrays.ts'
import type { Call } from './functions/kinds.ts'
import { functionNamed, isAbsent, nearFunction } from './functions/registry.ts'
import { binary, unary, WORDS } from './operators.ts'
import { type Column, columnOf, flowFault, refused, type Scope, type Value } from './scope.ts'
import { parseExpression } from './script/parser.ts'
import type { Argument, Expression } from './script/tree.ts'
import {
  ANY,
  arrayOf,
  BOOLEAN,
  DOUBLE,
  type FlowType,
  INTEGER,
  LONG,
  literal,
  quoted,
  STRING,
  shownType,
  simple,
  typeOf,
} from './types.ts'

/** Characters of one expression: some functions need an argument several times. */
const MOST_SQL = 1_000_000

/** Throws FERRY-7002, FERRY-7003, FERRY-7006 with the place. */
export function compile(e: Expression, scope: Scope): Value {
  const made = compiled(e, scope)
  if (made.sql.length > MOST_SQL) throw flowFault(e, 'the expression is too long: make a column of a part of it before')
  return made
}

function compiled(e: Expression, scope: Scope): Value {
  switch (e.kind) {
    case 'name':
      return named(e.name, scope, e)
    case 'origin': {
      const found = columnOf(scope.columns, e.name, e.stream)
      if (found) return valueOf(found)
      throw flowFault(
        e,
        `there is no column ${e.name} of ${e.stream}${didYouMean(
          e.name,
          scope.columns.map(c => c.name),
        )}`,
      )
    }
    case 'text':
      return text(e, scope)
    case 'number':
      return number(e.text, e.suffix)
    case 'parameter': {
      const found = scope.parameters.get(e.name)
      if (found) return found
      throw flowFault(e, `there is no parameter ${e.name}${didYouMean(e.name, [...scope.parameters.keys()])}`)
    }
    case 'pattern':
      if (scope.matched && (e.name === '$$' || e.name === '$0')) return valueOf(scope.matched)
      throw flowFault(e, `${e.name} stands for a column in a pattern alone`)
    case 'item': {
      const found = scope.items.get(e.name)
      if (found) return found
      throw flowFault(e, `#${e.name} is not there here`)
    }
    case 'call':
      return call(e, scope)
    case 'cached':
      if (!scope.cached) throw refused(e, `${e.sink}#${e.name}: there is no cache here`)
      return scope.cached(
        e,
        e.args.map(arg => {
          if (arg.kind === 'value') return compile(arg.value, scope)
          throw flowFault(e, `${e.sink}#${e.name} takes values alone`)
        }),
      )
    case 'member':
      return member(e, scope)
    case 'index': {
      const of = compile(e.of, scope)
      const key = compile(e.index, scope)
      if (of.type.kind === 'map') return { sql: `${of.sql}[${key.sql}]`, type: of.type.value }
      if (of.type.kind === 'array') return { sql: `${of.sql}[${key.sql}]`, type: of.type.of }
      throw flowFault(e, `${shownType(of.type)} has no elements`)
    }
    case 'unary':
      return unary(e.operator, compile(e.of, scope), e)
    case 'binary':
      return binary(e.operator, compile(e.left, scope), compile(e.right, scope), e)
    case 'array':
      return listOf(e.items.map(item => compile(item, scope)))
    case 'map': {
      const keys = listOf(e.entries.map(m => compile(m.key, scope)))
      const values = listOf(e.entries.map(m => compile(m.value, scope)))
      const of = (type: FlowType) => (type.kind === 'array' ? type.of : ANY)
      return {
        sql: `map(${keys.sql}, ${values.sql})`,
        type: { kind: 'map', key: of(keys.type), value: of(values.type) },
      }
    }
    case 'struct':
      return struct(e.args, scope, e)
    case 'typed':
      return converted(compile(e.of, scope), typeOf(e.type))
  }
}

export const valueOf = ({ id, type }: Column): Value => ({ sql: id, type })

function named(name: string, scope: Scope, e: Expression): Value {
  const found = scope.columns.find(c => c.name === name)
  if (found) return valueOf(found)
  // Words that a column may have taken.
  if (name === 'true' || name === 'false') return { sql: name, type: BOOLEAN, constant: name }
  if (name === 'null' || name === 'NULL') return { sql: 'NULL', type: ANY }
  throw flowFault(
    e,
    `there is no column ${name}${didYouMean(
      name,
      scope.columns.map(c => c.name),
    )}`,
  )
}

/** A text in double quotes may have expressions in braces. */
function text(e: Extract<Expression, { kind: 'text' }>, scope: Scope): Value {
  const { value, quote } = e
  if (quote !== '"' || !/\{[^{}]+\}/.test(value)) return { sql: literal(value), type: STRING, constant: value }
  const parts = value.split(/(\{[^{}]+\})/).filter(part => part !== '')
  const all = parts.map(part => {
    if (!/^\{[^{}]+\}$/.test(part)) return { sql: literal(part), constant: part }
    const { constant, ...made } = compile(parseExpression(part.slice(1, -1)), scope)
    return { sql: converted(made, STRING).sql, constant }
  })
  const sql = `(${all.map(part => part.sql).join(' || ')})`
  // What is known before anything runs is known as a whole.
  if (all.some(part => part.constant === undefined)) return { sql, type: STRING }
  return { sql, type: STRING, constant: all.map(part => part.constant).join('') }
}

function number(written: string, suffix: string | undefined): Value {
  if (/^0x/i.test(written)) {
    const n = BigInt(written)
    return {
      sql: `CAST(${n} AS ${n > 2147483647n ? 'BIGINT' : 'INTEGER'})`,
      type: n > 2147483647n ? LONG : INTEGER,
      constant: String(n),
    }
  }
  const constant = written
  if (suffix === 'L') return { sql: `CAST(${written} AS BIGINT)`, type: LONG, constant }
  if (suffix === 'S') return { sql: `CAST(${written} AS SMALLINT)`, type: simple('short'), constant }
  if (suffix === 'F') return { sql: `CAST(${written} AS FLOAT)`, type: simple('float'), constant }
  if (suffix === 'D' || /[.eE]/.test(written)) return { sql: `CAST(${written} AS DOUBLE)`, type: DOUBLE, constant }
  const n = BigInt(written)
  if (n > 9223372036854775807n) {
    const type: FlowType = { kind: 'decimal', precision: 38, scale: 0 }
    return { sql: `CAST('${written}' AS DECIMAL(38,0))`, type, constant }
  }
  const isLong = n > 2147483647n
  return {
    sql: isLong ? `CAST(${written} AS BIGINT)` : `CAST(${written} AS INTEGER)`,
    type: isLong ? LONG : INTEGER,
    constant,
  }
}

function member(e: Extract<Expression, { kind: 'member' }>, scope: Scope): Value {
  // `stream.column` is written too, where there is no column of the stream's name.
  if (e.of.kind === 'name' && !scope.columns.some(c => c.name === (e.of as { name: string }).name)) {
    const { name: stream } = e.of
    const found = columnOf(scope.columns, e.name, stream)
    if (found) return valueOf(found)
  }
  const of = compile(e.of, scope)
  return memberOf(of, e.name, e)
}

/** A member of a structure; of an array of structures the array of that member. Throws FERRY-7003. */
export function memberOf(of: Value, name: string, e: Expression): Value {
  const { type } = of
  if (type.kind === 'struct') {
    const field = type.fields.find(f => f.name === name)
    if (field) return { sql: `struct_extract(${of.sql}, ${literal(name)})`, type: field.type }
    throw flowFault(
      e,
      `there is no ${name} in ${shownType(type)}${didYouMean(
        name,
        type.fields.map(f => f.name),
      )}`,
    )
  }
  if (type.kind === 'array' && type.of.kind === 'struct') {
    const field = type.of.fields.find(f => f.name === name)
    if (field)
      return {
        sql: `list_transform(${of.sql}, lambda "ferry s": struct_extract("ferry s", ${literal(name)}))`,
        type: arrayOf(field.type),
      }
  }
  throw flowFault(e, `${shownType(type)} has no member ${name}`)
}

function struct(args: readonly Argument[], scope: Scope, e: Expression): Value {
  const fields = args.map(arg => {
    if (arg.kind === 'assignment' && arg.to.kind === 'name')
      return { name: arg.to.name, value: compile(arg.value, scope) }
    if (arg.kind === 'value' && arg.value.kind === 'name')
      return { name: arg.value.name, value: compile(arg.value, scope) }
    throw flowFault(e, 'a structure is written as @(name = value, ...)')
  })
  const sql = `struct_pack(${fields.map(f => `${quoted(f.name)} := ${f.value.sql}`).join(', ')})`
  return { sql, type: { kind: 'struct', fields: fields.map(f => ({ name: f.name, type: f.value.type })) } }
}

const MARKS: Record<string, string> = {
  isinsert: 'insert',
  isupdate: 'update',
  isupsert: 'upsert',
  isdelete: 'delete',
  isignore: 'ignore',
}
export const MARK = '"ferry mark"'
export const MATCH = '"ferry match"'
export const ERRORS = '"ferry errors"'

const own = <T>(of: Record<string, T>, name: string): T | undefined => (Object.hasOwn(of, name) ? of[name] : undefined)

function call(e: Extract<Expression, { kind: 'call' }>, scope: Scope): Value {
  const name = e.name.toLowerCase()
  const values = () => e.args.map(arg => compile(valueArgument(arg, e), scope))
  const word = own(WORDS, name)
  if (word !== undefined && e.args.length === 2) {
    const [left, right] = values()
    return binary(word, left!, right!, e)
  }
  const mark = own(MARKS, name)
  if (mark !== undefined) {
    requireHidden(e, scope, MARK, 'an alterRow')
    return { sql: `(${MARK} = ${literal(mark)})`, type: BOOLEAN }
  }
  if ((name === 'true' || name === 'false') && e.args.length === 0) return { sql: name, type: BOOLEAN, constant: name }
  const special = own(OWN, name)
  if (special) return special(e, scope, values)
  const found = functionNamed(name)
  if (!found && isAbsent(e.name)) throw refused(e, `the function ${e.name} does not run here`)
  if (!found) throw flowFault(e, `there is no function ${e.name}${nearFunction(e.name)}`)
  if (found.isAggregate && !scope.over)
    throw flowFault(e, `${e.name} is of a group: it stands in aggregate, window and pivot alone`)
  if (found.isWindow && scope.over?.kind !== 'window') throw flowFault(e, `${e.name} is of a window alone`)
  const [least, most] = found.arity
  if (e.args.length < least || e.args.length > most) {
    const wanted =
      least === most ? `${least}` : most === Number.POSITIVE_INFINITY ? `at least ${least}` : `${least} to ${most}`
    throw flowFault(e, `${e.name} takes ${wanted} arguments, and gets ${e.args.length}`)
  }
  const given: Call = {
    name: e.name,
    place: e,
    args: e.args,
    scope,
    compile: (one, inner = scope) => compile(one, inner),
  }
  try {
    return found.build(found.isOfElements ? [] : values(), given)
  } catch (error) {
    if (error instanceof FerryError && !/^line \d/.test(error.message)) {
      throw flowFault(e, `${e.name}: ${error.message}`, error.code)
    }
    throw error
  }
}

/** Throws FERRY-7003 where rows do not know what is asked of them. */
function requireHidden(
  e: Extract<Expression, { kind: 'call' }>,
  { hidden = [] }: Scope,
  name: string,
  by: string,
): void {
  if (!hidden.includes(name)) throw flowFault(e, `${e.name} needs ${by} before it, in the one stream that comes in`)
}

function valueArgument(arg: Argument, e: Expression): Expression {
  if (arg.kind === 'value') return arg.value
  throw flowFault(e, 'a function takes expressions alone')
}

type Own = (e: Extract<Expression, { kind: 'call' }>, scope: Scope, values: () => Value[]) => Value

const NOTHING: Value = { sql: 'NULL', type: ANY }

/** A name that is written as it is. */
function constantName(e: Extract<Expression, { kind: 'call' }>, scope: Scope, i = 0): string {
  const arg = e.args[i]
  const value = arg?.kind === 'value' ? compile(arg.value, scope) : undefined
  if (value?.constant !== undefined) return value.constant
  throw flowFault(e, `${e.name} takes a name that is written as it is, or a parameter`)
}

function byName(e: Extract<Expression, { kind: 'call' }>, scope: Scope): Column | undefined {
  const name = constantName(e, scope)
  const stream = e.args.length > 1 ? constantName(e, scope, 1) : undefined
  return stream === undefined ? scope.columns.find(c => c.name === name) : columnOf(scope.columns, name, stream)
}

function byPath(e: Extract<Expression, { kind: 'call' }>, scope: Scope): Value | undefined {
  const path = parseExpression(constantName(e, scope))
  try {
    return compile(path, scope)
  } catch (error) {
    if (error instanceof FerryError && error.code === 'FERRY-7003') return undefined
    throw error
  }
}

const OWN: Record<string, Own> = {
  null: () => NOTHING,
  syntax: (_, __, values) => values()[0] ?? NOTHING,
  expr: (e, scope) => compile(parseExpression(constantName(e, scope)), scope),
  columns: (e, scope) => {
    const stream = e.args.length > 0 ? constantName(e, scope) : ''
    const all = scope.columns.filter(c => stream === '' || c.streams.includes(stream))
    return { sql: '', type: ANY, many: all.map(valueOf) }
  },
  columnnames: (e, scope) => {
    const stream = e.args.length > 0 ? constantName(e, scope) : ''
    const all = scope.columns.filter(c => stream === '' || c.streams.includes(stream))
    return listOf(all.map(c => ({ sql: literal(c.name), type: STRING })))
  },
  byname: (e, scope) => {
    const found = byName(e, scope)
    return found ? valueOf(found) : NOTHING
  },
  bynames: (e, scope) => {
    const [names] = e.args
    const items = names?.kind === 'value' && names.value.kind === 'array' ? names.value.items : undefined
    if (!items) throw flowFault(e, 'byNames takes a list of names that is written as it is')
    const stream = e.args.length > 1 ? constantName(e, scope, 1) : undefined
    const wanted = items.map(item => compile(item, scope).constant)
    const found = wanted.flatMap(name => {
      const one =
        stream === undefined ? scope.columns.find(c => c.name === name) : columnOf(scope.columns, name ?? '', stream)
      return one ? [one] : []
    })
    return { sql: '', type: ANY, many: found.map(valueOf) }
  },
  byposition: (e, scope) => {
    const found = scope.columns[Number(constantName(e, scope)) - 1]
    return found ? valueOf(found) : NOTHING
  },
  bypath: (e, scope) => byPath(e, scope) ?? NOTHING,
  hascolumn: (e, scope) => ({ sql: byName(e, scope) ? 'true' : 'false', type: BOOLEAN }),
  haspath: (e, scope) => ({ sql: byPath(e, scope) ? 'true' : 'false', type: BOOLEAN }),
  ismatch: (e, scope) => {
    requireHidden(e, scope, MATCH, 'a lookup')
    return { sql: MATCH, type: BOOLEAN }
  },
  iserror: (e, scope) => {
    requireHidden(e, scope, ERRORS, 'an assert')
    return { sql: `(len(${ERRORS}) > 0)`, type: BOOLEAN }
  },
  haserror: (e, scope) => {
    requireHidden(e, scope, ERRORS, 'an assert')
    return { sql: `list_contains(${ERRORS}, ${literal(constantName(e, scope))})`, type: BOOLEAN }
  },
}
