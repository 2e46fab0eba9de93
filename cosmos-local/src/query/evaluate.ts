/** Compiles expressions and queries to functions. */
import { badRequest } from '../errors.ts'
import type { Json, JsonObject } from '../json.ts'
import { AGGREGATES, aggregatesIn, type Expression, type Query, type Source, selected } from './ast.ts'
import { AGGREGATIONS, FUNCTIONS } from './functions.ts'
import { compare, equal, identity, order, propertyOf, type Value } from './values.ts'

/** What names stand for: one value for each alias, and the rows of the group where there is one. */
export interface Scope {
  names: Record<string, Value>
  group?: Scope[]
}

export type Compiled = (scope: Scope) => Value

export type Parameters = Record<string, Value>

export function compile(e: Expression, parameters: Parameters): Compiled {
  const sub = (inner: Expression) => compile(inner, parameters)
  switch (e.kind) {
    case 'constant': {
      const { value } = e
      return () => value
    }
    case 'parameter': {
      if (!(e.name in parameters)) throw badRequest(`The parameter ${e.name} has no value`)
      const value = parameters[e.name]
      return () => value
    }
    case 'name': {
      const { name } = e
      return ({ names }) => {
        if (name in names) return names[name]
        throw badRequest(`Identifier '${name}' could not be resolved.`)
      }
    }
    case 'member':
      return member(sub(e.of), sub(e.name))
    case 'unary':
      return unary(e.operator, sub(e.of))
    case 'binary':
      return binary(e.operator, sub(e.left), sub(e.right))
    case 'choice': {
      const [condition, yes, no] = [sub(e.condition), sub(e.yes), sub(e.no)]
      return scope => (condition(scope) === true ? yes(scope) : no(scope))
    }
    case 'in': {
      const of = sub(e.of)
      const items = e.list.map(sub)
      return scope => {
        const value = of(scope)
        if (value === undefined) return undefined
        return items.some(item => equal(value, item(scope)) === true) !== e.not
      }
    }
    case 'between': {
      const [of, low, high] = [sub(e.of), sub(e.low), sub(e.high)]
      return scope => {
        const value = of(scope)
        const [a, b] = [compare(value, low(scope)), compare(value, high(scope))]
        return a === undefined || b === undefined ? undefined : (a >= 0 && b <= 0) !== e.not
      }
    }
    case 'like':
      return like(sub(e.of), sub(e.pattern), e.escape && sub(e.escape), e.not)
    case 'call':
      return call(e.name, e.arguments.map(sub))
    case 'array': {
      const items = e.items.map(sub)
      return scope => items.map(item => item(scope)).filter(v => v !== undefined)
    }
    case 'object': {
      const members = e.members.map(m => [m.name, sub(m.value)] as const)
      return scope => {
        const made: JsonObject = {}
        for (const [name, of] of members) {
          const value = of(scope)
          if (value !== undefined) made[name] = value
        }
        return made
      }
    }
    case 'subquery': {
      const run = compileQuery(e.query, parameters)
      if (e.form === 'exists') return scope => run([scope]).some(v => v !== undefined)
      if (e.form === 'array') return scope => run([scope]).filter(v => v !== undefined)
      return scope => run([scope])[0]
    }
  }
}

function member(of: Compiled, name: Compiled): Compiled {
  return scope => {
    const value = of(scope)
    if (value === undefined || value === null || typeof value !== 'object') return undefined
    const key = name(scope)
    if (Array.isArray(value)) return typeof key === 'number' ? value[key] : undefined
    return typeof key === 'string' ? propertyOf(value, key) : undefined
  }
}

function unary(operator: string, of: Compiled): Compiled {
  const numeric =
    (f: (n: number) => number): Compiled =>
    scope => {
      const value = of(scope)
      return typeof value === 'number' ? f(value) : undefined
    }
  switch (operator) {
    case '-':
      return numeric(n => -n)
    case '+':
      return numeric(n => n)
    case '~':
      return numeric(n => ~n)
    default:
      return scope => {
        const value = of(scope)
        return typeof value === 'boolean' ? !value : undefined
      }
  }
}

const ARITHMETIC: Record<string, (a: number, b: number) => number> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '%': (a, b) => a % b,
  '|': (a, b) => a | b,
  '&': (a, b) => a & b,
  '^': (a, b) => a ^ b,
  '<<': (a, b) => a << b,
  '>>': (a, b) => a >> b,
  '>>>': (a, b) => a >>> b,
}

const RELATIONS: Record<string, (sign: number) => boolean> = {
  '<': s => s < 0,
  '>': s => s > 0,
  '<=': s => s <= 0,
  '>=': s => s >= 0,
}

function binary(operator: string, left: Compiled, right: Compiled): Compiled {
  const compute = ARITHMETIC[operator]
  if (compute) {
    return scope => {
      const [a, b] = [left(scope), right(scope)]
      if (typeof a !== 'number' || typeof b !== 'number') return undefined
      const result = compute(a, b)
      return Number.isFinite(result) ? result : undefined
    }
  }
  const relation = RELATIONS[operator]
  if (relation) {
    return scope => {
      const sign = compare(left(scope), right(scope))
      return sign === undefined ? undefined : relation(sign)
    }
  }
  switch (operator) {
    case '=':
      return scope => equal(left(scope), right(scope))
    case '!=':
    case '<>':
      return scope => {
        const result = equal(left(scope), right(scope))
        return result === undefined ? undefined : !result
      }
    case '??':
      return scope => left(scope) ?? right(scope)
    case '||':
      return scope => {
        const [a, b] = [left(scope), right(scope)]
        return typeof a === 'string' && typeof b === 'string' ? a + b : undefined
      }
    case 'AND':
      // What is no boolean is neither: false decides an AND, true an OR.
      return scope => {
        const a = left(scope)
        if (a === false) return false
        const b = right(scope)
        return b === false ? false : a === true && b === true ? true : undefined
      }
    default:
      return scope => {
        const a = left(scope)
        if (a === true) return true
        const b = right(scope)
        return b === true ? true : a === false && b === false ? false : undefined
      }
  }
}

function like(of: Compiled, pattern: Compiled, escape: Compiled | undefined, not: boolean): Compiled {
  return scope => {
    const [value, wanted] = [of(scope), pattern(scope)]
    if (typeof value !== 'string' || typeof wanted !== 'string') return undefined
    const mark = escape?.(scope)
    let source = ''
    for (let i = 0; i < wanted.length; i++) {
      const c = wanted[i]!
      if (c === mark && i + 1 < wanted.length) source += literal(wanted[++i]!)
      else if (c === '%') source += '[\\s\\S]*'
      else if (c === '_') source += '[\\s\\S]'
      else if (c === '[' && wanted.includes(']', i)) {
        const end = wanted.indexOf(']', i)
        source += wanted.slice(i, end + 1)
        i = end
      } else source += literal(c)
    }
    return new RegExp(`^${source}$`).test(value) !== not
  }
}

function literal(character: string): string {
  return character.replace(/[\\^$.*+?()[\]{}|/-]/, '\\$&')
}

function call(name: string, values: Compiled[]): Compiled {
  if (name in AGGREGATES) {
    const aggregate = AGGREGATIONS[name]!
    const of = values[0] ?? (() => 1)
    return scope => {
      if (!scope.group) throw badRequest(`${name} stands where no aggregate can`)
      return aggregate(scope.group.map(of))
    }
  }
  const f = FUNCTIONS[name]
  if (!f) throw badRequest(`'${name}' is not a recognized built-in function name.`)
  return scope => f(...values.map(v => v(scope)))
}

/** The scopes that FROM gives for a scope around it: one for each combination of its sources. */
function compileSources(sources: Source[], parameters: Parameters): (outer: Scope) => Scope[] {
  const steps = sources.map(({ alias, each, of }, i) => {
    const value = of && compile(of, parameters)
    const base = of && baseOf(of)
    const read = (scope: Scope): Value => {
      // What the first source begins with is the container itself, whatever it is called.
      const root = i === 0 && base !== undefined && !(base in scope.names)
      return value?.(root ? { names: { ...scope.names, [base]: scope.names.ROOT } } : scope)
    }
    return { alias, each, read }
  })
  return outer => {
    let scopes: Scope[] = [outer]
    for (const { alias, each, read } of steps) {
      scopes = scopes.flatMap(scope => {
        const from = read(scope)
        if (from === undefined) return []
        if (!each) return [{ names: { ...scope.names, [alias]: from } }]
        return Array.isArray(from) ? from.map(item => ({ names: { ...scope.names, [alias]: item } })) : []
      })
    }
    return scopes
  }
}

/** The name that a path begins with. */
function baseOf(e: Expression): string | undefined {
  return e.kind === 'name' ? e.name : e.kind === 'member' ? baseOf(e.of) : undefined
}

/** A query over scopes that each hold a document as `ROOT`, or over the scope around a subquery. */
export function compileQuery(query: Query, parameters: Parameters): (outer: Scope[]) => Value[] {
  const from = compileSources(query.from, parameters)
  const where = query.where && compile(query.where, parameters)
  const keys = query.groupBy.map(e => compile(e, parameters))
  const project = compileSelect(query, parameters)
  const ordering = query.orderBy.map(o => ({ of: compile(o.of, parameters), sign: o.descending ? -1 : 1 }))
  const grouped = keys.length > 0 || selected(query).some(e => aggregatesIn(e).length > 0)
  const count = (e: Expression | undefined) =>
    e === undefined ? undefined : Number(compile(e, parameters)({ names: {} }))
  const [top, offset, limit] = [count(query.top), count(query.offset), count(query.limit)]
  return outer => {
    let scopes = outer.flatMap(from)
    if (where) scopes = scopes.filter(scope => where(scope) === true)
    if (grouped) scopes = group(scopes, keys)
    if (ordering.length > 0) {
      const sortable = scopes.map(scope => ({ scope, by: ordering.map(o => o.of(scope)) }))
      sortable.sort((a, b) => {
        for (const [i, { sign }] of ordering.entries()) {
          const result = order(a.by[i], b.by[i])
          if (result !== 0) return result * sign
        }
        return 0
      })
      scopes = sortable.map(s => s.scope)
    }
    let values = scopes.map(project).filter(v => v !== undefined)
    if (query.distinct) {
      const seen = new Set<string>()
      values = values.filter(v => {
        const key = identity(v)
        return seen.has(key) ? false : seen.add(key)
      })
    }
    if (offset !== undefined) values = values.slice(offset, offset + limit!)
    return top === undefined ? values : values.slice(0, top)
  }
}

function group(scopes: Scope[], keys: Compiled[]): Scope[] {
  // Without GROUP BY there is one group, also of nothing.
  if (keys.length === 0) return [{ names: scopes[0]?.names ?? {}, group: scopes }]
  const groups = new Map<string, Scope>()
  for (const scope of scopes) {
    const key = identity(keys.map(k => k(scope) ?? { missing: true }) as Json)
    const found = groups.get(key)
    if (found) found.group!.push(scope)
    else groups.set(key, { names: scope.names, group: [scope] })
  }
  return [...groups.values()]
}

function compileSelect(query: Query, parameters: Parameters): Compiled {
  const { select, from } = query
  if (select.form === 'value') return compile(select.of, parameters)
  if (select.form === 'star') {
    if (from.length > 1) throw badRequest("'SELECT *' is only valid with a single input set.")
    const { alias } = from[0] ?? { alias: 'ROOT' }
    return ({ names }) => names[alias]
  }
  const items = select.items.map(item => [item.alias, compile(item.of, parameters)] as const)
  return scope => {
    const made: JsonObject = {}
    for (const [alias, of] of items) {
      const value = of(scope)
      if (value !== undefined) made[alias] = value
    }
    return made
  }
}
