/** Transformations that choose, order and mark rows. */
import { compile, ERRORS, MARK } from '../compile.ts'
import { hidden, keepsHidden, listed, type Made, type Step, scopeOf } from '../relation.ts'
import { flowFault } from '../scope.ts'
import { LONG, literal } from '../types.ts'
import { condition, isOn, ordered, requireInputs, setting, values, within } from './args.ts'

export function filter({ statement, inputs, flow }: Step): Made[] {
  requireInputs(statement, inputs, 1)
  const [from] = inputs
  const where = condition(values(statement)[0], scopeOf(from!, flow), statement)
  return [same(statement.output, from!, `SELECT * FROM ${from!.id} WHERE ${where}`)]
}

/** The rows of a relation, or some of them, as they are. */
function same(stream: string, from: Step['inputs'][number], sql: string): Made {
  const columns = from.columns.map(c => ({ ...c, streams: [stream, ...c.streams] }))
  return { stream, sql, columns, ...keepsHidden(from) }
}

export function sort({ statement, inputs, flow }: Step): Made[] {
  requireInputs(statement, inputs, 1)
  const [from] = inputs
  const by = ordered(statement.args, scopeOf(from!, flow))
  if (by.length === 0) throw flowFault(statement, 'sort takes asc(column) and desc(column)')
  return [same(statement.output, from!, `SELECT * FROM ${from!.id} ORDER BY ${by.join(', ')}`)]
}

/** Rows go to the first branch whose condition holds, or to each; the last branch has the rest. */
export function split({ statement, inputs, flow }: Step): Made[] {
  requireInputs(statement, inputs, 1)
  const [from] = inputs
  const conditions = values(statement).map(e => condition(e, scopeOf(from!, flow), statement))
  const { branches } = statement
  if (branches.length !== conditions.length + 1 && branches.length !== conditions.length) {
    throw flowFault(statement, `split has ${conditions.length} conditions, and ${branches.length} branches`)
  }
  const isDisjoint = isOn(statement, 'disjoint', flow)
  const isTrue = (sql: string) => `coalesce(${sql}, false)`
  return branches.map((branch, i) => {
    const before = isDisjoint && i < conditions.length ? [] : conditions.slice(0, i).map(c => `NOT ${isTrue(c)}`)
    const own = i < conditions.length ? [isTrue(conditions[i]!)] : []
    const where = [...before, ...own].join(' AND ') || 'true'
    return same(`${statement.output}@${branch}`, from!, `SELECT * FROM ${from!.id} WHERE ${where}`)
  })
}

const POLICIES: Record<string, string> = {
  insertIf: 'insert',
  updateIf: 'update',
  upsertIf: 'upsert',
  deleteIf: 'delete',
}

/** The first policy whose condition holds marks a row; rows without one are left out at a sink. */
export function alterRow({ statement, inputs, flow }: Step): Made[] {
  requireInputs(statement, inputs, 1)
  const [from] = inputs
  const scope = scopeOf(from!, flow)
  const whens = values(statement).map(e => {
    const mark = e.kind === 'call' ? POLICIES[e.name] : undefined
    const arg = e.kind === 'call' ? e.args[0] : undefined
    if (mark === undefined || arg?.kind !== 'value')
      throw flowFault(e, `alterRow takes ${Object.keys(POLICIES).join(', ')}`)
    return `WHEN ${condition(arg.value, scope, statement)} THEN ${literal(mark)}`
  })
  if (whens.length === 0) throw flowFault(statement, 'alterRow has no policy')
  const mark = `CASE ${whens.join(' ')} ELSE 'ignore' END AS ${MARK}`
  const kept = hidden(from!).filter(name => name !== MARK)
  const sql = `SELECT ${listed(
    from!.columns.map(c => c.id),
    from!.columns,
    [...kept, mark],
  )} FROM ${from!.id}`
  return [{ ...same(statement.output, from!, sql), hasMark: true }]
}

/** Conditions that rows have to fulfil; those that failed are known by their names. */
export function assert({ statement, inputs, flow }: Step): Made[] {
  requireInputs(statement, inputs, 1)
  const [from] = inputs
  const scope = scopeOf(from!, flow)
  const failed: string[] = []
  const aborting: string[] = []
  for (const e of values(statement)) {
    if (e.kind !== 'call') throw flowFault(e, 'assert takes expectTrue and expectUnique')
    const [tested, , id] = e.args
    if (tested?.kind !== 'value') throw flowFault(e, `${e.name} takes an expression`)
    const name = id?.kind === 'value' ? (compile(id.value, scope).constant ?? e.name) : e.name
    const sql =
      e.name === 'expectTrue'
        ? `NOT coalesce(${condition(tested.value, scope, statement)}, false)`
        : e.name === 'expectUnique'
          ? `count(*) OVER (PARTITION BY ${compile(tested.value, scope).sql}) > 1`
          : undefined
    if (sql === undefined) throw flowFault(e, `assert by ${e.name} does not run here: expectTrue and expectUnique do`)
    failed.push(`CASE WHEN ${sql} THEN ${literal(name)} END`)
    aborting.push(name)
  }
  const before = from!.hasErrors ? `list_concat(${ERRORS}, ` : ''
  const found = `list_filter([${failed.join(', ')}], lambda x: x IS NOT NULL)`
  const errors = `${before}${found}${before === '' ? '' : ')'}`
  const checked = isOn(statement, 'abort', flow)
    ? `CASE WHEN len(${errors}) > 0 THEN error('FERRY-4001 the assertion ' || (${errors})[1] || ' failed') ELSE ${errors} END`
    : errors
  const kept = hidden(from!).filter(name => name !== ERRORS)
  const sql = `SELECT ${listed(
    from!.columns.map(c => c.id),
    from!.columns,
    [...kept, `${checked} AS ${ERRORS}`],
  )} FROM ${from!.id}`
  return [{ ...same(statement.output, from!, sql), hasErrors: true }]
}

/** A number for each row, from a beginning, in steps. */
export function keyGenerate({ statement, inputs, flow }: Step): Made[] {
  requireInputs(statement, inputs, 1)
  const [from] = inputs
  const [out] = within(statement, 'output') ?? []
  if (out?.kind !== 'column' && out?.kind !== 'assignment')
    throw flowFault(statement, 'keyGenerate has no output(name as long)')
  const to = out.kind === 'column' ? out.of : out.to
  const name = to.kind === 'name' ? to.name : ''
  const start = setting(statement, 'startAt', flow) ?? '1'
  const step = setting(statement, 'stepValue', flow) ?? '1'
  const made = same(statement.output, from!, '')
  const key = { name, type: LONG, streams: [statement.output], id: `"${name.replaceAll('"', '""')}"` }
  const value = `CAST(${start} + (row_number() OVER () - 1) * ${step} AS BIGINT) AS ${key.id}`
  const others = made.columns.filter(c => c.id.toLowerCase() !== key.id.toLowerCase())
  const sql = `SELECT ${listed([...others.map(c => c.id)], others, [value, ...hidden(from!)])} FROM ${from!.id}`
  return [{ ...made, columns: [...others, key], sql }]
}
