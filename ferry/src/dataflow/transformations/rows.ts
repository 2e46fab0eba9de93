/** Transformations that choose, order and mark rows. */
import { compile, ERRORS, MARK } from '../compile.ts'
import { hidden, keepsHidden, listed, type Made, named, type Step, scopeOf } from '../relation.ts'
import { flowFault } from '../scope.ts'
import { LONG, literal, quoted } from '../types.ts'
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
  // Each condition is asked once: a branch that asked again could get another answer of a function of chance.
  const base = `${statement.output}@`
  const answers = conditions.map(c => `coalesce(${c}, false)`)
  const asked = `SELECT *, CAST([${answers.join(', ')}] AS BOOLEAN[]) AS ${ANSWERS} FROM ${from!.id}`
  const answer = (i: number) => `${ANSWERS}[${i + 1}]`
  const made = branches.map((branch, i): Made => {
    const isLast = i === conditions.length
    const before = isDisjoint && !isLast ? [] : conditions.slice(0, i).map((_, j) => `NOT ${answer(j)}`)
    const where = [...before, ...(isLast ? [] : [answer(i)])].join(' AND ') || 'true'
    const sql = `SELECT * EXCLUDE (${ANSWERS}) FROM ${quoted(base)} WHERE ${where}`
    return { ...same(`${statement.output}@${branch}`, from!, sql), inputs: [base] }
  })
  return [same(base, from!, asked), ...made]
}

const ANSWERS = '"ferry answers"'

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
  for (const e of values(statement)) {
    if (e.kind !== 'call') throw flowFault(e, 'assert takes expectTrue and expectUnique')
    const [tested, ignores, id] = e.args
    if (tested?.kind !== 'value') throw flowFault(e, `${e.name} takes an expression`)
    const name = id?.kind === 'value' ? (compile(id.value, scope).constant ?? e.name) : e.name
    const ignoresNulls = ignores?.kind === 'value' && compile(ignores.value, scope).constant === 'true'
    const { sql: value } = compile(tested.value, scope)
    const sql =
      e.name === 'expectTrue'
        ? `NOT coalesce(${condition(tested.value, scope, statement)}, ${ignoresNulls})`
        : e.name === 'expectUnique'
          ? `count(*) OVER (PARTITION BY ${value}) > 1${ignoresNulls ? ` AND ${value} IS NOT NULL` : ''}`
          : undefined
    if (sql === undefined) throw flowFault(e, `assert by ${e.name} does not run here: expectTrue and expectUnique do`)
    failed.push(`CASE WHEN ${sql} THEN ${literal(name)} END`)
  }
  const before = from!.hasErrors ? `list_concat(${ERRORS}, ` : ''
  const found = `list_filter([${failed.join(', ')}], lambda "ferry x": "ferry x" IS NOT NULL)`
  const errors = `${before}${found}${before === '' ? '' : ')'}`
  const kept = hidden(from!).filter(name => name !== ERRORS)
  const sql = `SELECT ${listed(
    from!.columns.map(c => c.id),
    from!.columns,
    [...kept, `${errors} AS ${ERRORS}`],
  )} FROM ${from!.id}`
  // A condition on rows is asked whether or not somebody reads the column.
  const stops = `SELECT * FROM (${sql}) AS checked WHERE CASE WHEN len(${ERRORS}) > 0 THEN error('the assertion ' || ${ERRORS}[1] || ' failed') ELSE true END`
  const isStrict = isOn(statement, 'abort', flow)
  return [{ ...same(statement.output, from!, isStrict ? stops : sql), hasErrors: true }]
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
  const others = made.columns.filter(c => c.name !== name)
  const columns = named([...others, { name, type: LONG, streams: [statement.output] }])
  const value = `CAST(${start} + (row_number() OVER () - 1) * ${step} AS BIGINT)`
  const sql = `SELECT ${listed([...others.map(c => c.id), value], columns, hidden(from!))} FROM ${from!.id}`
  return [{ ...made, columns, sql }]
}
