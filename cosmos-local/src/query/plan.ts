/**
 * The query plan that clients ask for before they run a query over several partitions: what each partition is to run,
 * and how the client puts the results together.
 */
import { badRequest } from '../errors.ts'
import { KEY_SPACE_END } from '../hash.ts'
import { AGGREGATES, aggregatesIn, type Expression, type Query, selected } from './ast.ts'
import { compile, type Parameters } from './evaluate.ts'
import { parseQuery } from './parse.ts'

/** Clients replace this with `true`, or with the position to resume from. */
const FILTER = '{documentdb-formattableorderbyquery-filter}'

/** Whether results of several partitions cannot just be put one behind the other. */
export function needsPlan(query: Query): boolean {
  return (
    query.distinct ||
    query.top !== undefined ||
    query.offset !== undefined ||
    query.orderBy.length > 0 ||
    query.groupBy.length > 0 ||
    selected(query).some(e => aggregatesIn(e).length > 0)
  )
}

/**
 * What a client must be able to do to put results of several partitions together, in the words of
 * `x-ms-cosmos-supported-query-features`.
 */
function featuresOf(query: Query): string[] {
  const aggregates = selected(query).flatMap(aggregatesIn)
  const features: [string, boolean][] = [
    ['Distinct', query.distinct],
    ['Top', query.top !== undefined],
    ['OffsetAndLimit', query.offset !== undefined],
    ['OrderBy', query.orderBy.length > 0],
    ['MultipleOrderBy', query.orderBy.length > 1],
    ['GroupBy', query.groupBy.length > 0],
    ['Aggregate', aggregates.length > 0],
    ['MultipleAggregates', aggregates.length > 1],
    ['NonValueAggregate', aggregates.length > 0 && query.select.form !== 'value' && query.groupBy.length === 0],
  ]
  return features.filter(([, needed]) => needed).map(([name]) => name)
}

/**
 * The plan of a query for a client that offers `supported`, names with commas between them. Throws 400 where the query
 * needs what the client cannot do.
 */
export function planOf(text: string, parameters: Parameters, supported: string): unknown {
  const query = parseQuery(text)
  const offered = new Set(supported.split(',').map(name => name.trim().toLowerCase()))
  const missing = featuresOf(query).filter(name => !offered.has(name.toLowerCase()))
  if (missing.length > 0) {
    const each = missing.map(name => `Query contained ${name}, which the calling client does not support.`)
    throw badRequest(
      `Query contains 1 or more unsupported features. Upgrade your SDK to a version that does support the requested features:\r\n${each.join('\r\n')}`,
    )
  }
  if (selected(query).some(e => aggregatesIn(e).length > 0 && !(e.kind === 'call' && e.name in AGGREGATES))) {
    throw badRequest('Compositions of aggregates and other expressions are unsupported.')
  }
  const inner = query.from[0]?.of
  if (inner?.kind === 'subquery' && needsPlan(inner.query)) {
    throw badRequest(
      'A subquery in FROM with DISTINCT, TOP, ORDER BY, GROUP BY or an aggregate is not supported over several partitions: name a partition key.',
    )
  }
  const number = (e: Expression | undefined) => (e === undefined ? null : Number(compile(e, parameters)({ names: {} })))
  const aggregates = selected(query).flatMap(aggregatesIn)
  const grouped = query.groupBy.length > 0
  const hasValue = query.select.form === 'value'
  const kinds = [...new Set(aggregates.map(a => AGGREGATES[a.name]!))]
  const source = (e: Expression) => text.slice(e.start, e.end)
  // One value for all items: their order does not change it, and partitions give it without one.
  const orderBy = aggregates.length > 0 ? [] : query.orderBy
  return {
    partitionedQueryExecutionInfoVersion: 2,
    queryInfo: {
      distinctType: query.distinct ? (query.orderBy.length > 0 ? 'Ordered' : 'Unordered') : 'None',
      top: number(query.top),
      offset: number(query.offset),
      limit: number(query.limit),
      orderBy: orderBy.map(o => (o.descending ? 'Descending' : 'Ascending')),
      orderByExpressions: orderBy.map(o => source(o.of)),
      groupByExpressions: query.groupBy.map(source),
      groupByAliases: grouped && query.select.form === 'list' ? query.select.items.map(i => i.alias) : [],
      aggregates: hasValue ? kinds : [],
      groupByAliasToAggregateType: aliasKinds(query, grouped || aggregates.length > 0),
      rewrittenQuery: rewrite(query, text),
      hasSelectValue: hasValue,
      hasNonStreamingOrderBy: false,
    },
    queryRanges: [{ min: '', max: KEY_SPACE_END, isMinInclusive: true, isMaxInclusive: false }],
  }
}

function aliasKinds(query: Query, grouped: boolean): Record<string, string | null> {
  if (!grouped || query.select.form !== 'list') return {}
  return Object.fromEntries(
    query.select.items.map(item => {
      const [aggregate] = aggregatesIn(item.of)
      return [item.alias, aggregate ? AGGREGATES[aggregate.name]! : null]
    }),
  )
}

/** What each partition runs. */
function rewrite(query: Query, text: string): string {
  const part = ([start, end]: [number, number]) => text.slice(start, end)
  const source = (e: Expression) => text.slice(e.start, e.end)
  const from = query.from.length > 0 ? ` FROM ${part(query.text.from)}` : ''
  const where = query.where ? part(query.text.where) : undefined
  const filtered = where === undefined ? '' : ` WHERE ${where}`
  const groupBy = query.groupBy.length > 0 ? ` GROUP BY ${part(query.text.groupBy)}` : ''
  const aggregated = selected(query).some(e => aggregatesIn(e).length > 0)
  if (groupBy !== '' || aggregated) {
    const payload = partialSelect(query, source)
    const keys = query.groupBy.map(e => `{"item": ${source(e)}}`).join(', ')
    if (groupBy !== '') return `SELECT [${keys}] AS groupByItems, ${payload} AS payload${from}${filtered}${groupBy}`
    return query.select.form === 'value'
      ? `SELECT VALUE ${payload}${from}${filtered}`
      : `SELECT ${payload} AS payload${from}${filtered}`
  }
  if (query.orderBy.length > 0) {
    const alias = query.from[0]?.alias ?? 'c'
    const items = query.orderBy.map(o => `{"item": ${source(o.of)}}`).join(', ')
    const order = query.orderBy.map(o => `${source(o.of)} ${o.descending ? 'DESC' : 'ASC'}`).join(', ')
    const all = where === undefined ? FILTER : `(${FILTER}) AND (${where})`
    const top = query.top ? `TOP ${source(query.top)} ` : ''
    return `SELECT ${top}${alias}._rid, [${items}] AS orderByItems, ${payloadOf(query, source)} AS payload${from} WHERE ${all} ORDER BY ${order}`
  }
  const distinct = query.distinct ? 'DISTINCT ' : ''
  const top = query.top ? `TOP ${source(query.top)} ` : ''
  return `SELECT ${distinct}${top}${part(query.text.select)}${from}${filtered}`
}

/** What a row gives, as one value. */
function payloadOf(query: Query, source: (e: Expression) => string): string {
  const { select } = query
  if (select.form === 'star') return query.from[0]?.alias ?? 'c'
  if (select.form === 'value') return source(select.of)
  return `{${select.items.map(i => `${JSON.stringify(i.alias)}: ${source(i.of)}`).join(', ')}}`
}

/** What a group gives in one partition: aggregates in the form in which clients add them up. */
function partialSelect(query: Query, source: (e: Expression) => string): string {
  const { select } = query
  const item = (e: Expression) => {
    const [aggregate] = aggregatesIn(e)
    return aggregate ? partial(aggregate, source) : source(e)
  }
  if (select.form === 'value') {
    return aggregatesIn(select.of).length > 0 ? `[${item(select.of)}]` : source(select.of)
  }
  const items = select.form === 'list' ? select.items : []
  return `{${items.map(i => `${JSON.stringify(i.alias)}: ${item(i.of)}`).join(', ')}}`
}

function partial(e: Expression & { kind: 'call' }, source: (e: Expression) => string): string {
  const of = e.arguments.map(source).join(', ')
  switch (e.name) {
    case 'AVG':
      return `{"item": {"sum": SUM(${of}), "count": COUNT(${of})}}`
    // The value alone is for clients of the first version of plans; later ones also ask how many values there were.
    case 'MIN':
    case 'MAX':
      return `{"item": ${e.name}(${of}), "item2": {"${e.name.toLowerCase()}": ${e.name}(${of}), "count": COUNT(${of})}}`
    default:
      return `{"item": ${e.name}(${of})}`
  }
}
