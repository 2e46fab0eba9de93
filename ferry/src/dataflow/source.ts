/** Sources of a flow: what their projections say, and what they really have. */
import { FerryError } from '../errors.ts'
import { compile } from './compile.ts'
import { converted } from './convert.ts'
import { column, type Flow, listed, type Made, named, scopeOf } from './relation.ts'
import { type Column, flowFault, type Value } from './scope.ts'
import type { Expression, Statement } from './script/tree.ts'
import { isOn, setting, within } from './transformations/args.ts'
import { ANY, type Field, type FlowType, quoted, STRING, sqlType, typeOf } from './types.ts'

export interface Declared {
  columns: (Field & { format?: Expression })[]
  /** False without `output(...)`: its columns are known when it is read. */
  isThere: boolean
}

export interface StoredColumn extends Field {
  /** True if the engine's own type is another one: a uuid is a text for flows. */
  isCast?: boolean
}

/** What a table has that a source was read into. */
export interface Stored {
  /** The table, quoted. */
  table: string
  columns: readonly StoredColumn[]
  /** Texts of columns that no projection names, with the types that all their values have. */
  inferred?: ReadonlyMap<string, FlowType>
}

/** The projection of a source: `output(id as integer, day as date 'yyyy-MM-dd')`. Throws FERRY-7003. */
export function declaredOf(statement: Statement): Declared {
  const args = within(statement, 'output')
  const columns = (args ?? []).map(arg => {
    // A column without a type is a text.
    if (arg.kind === 'value' && arg.value.kind === 'name') return { name: arg.value.name, type: STRING }
    if (arg.kind !== 'column' || arg.of.kind !== 'name') {
      throw flowFault(statement, 'the projection of a source is output(column as type)')
    }
    const [format] = arg.formats
    return { name: arg.of.name, type: typeOf(arg.type), ...(format ? { format } : {}) }
  })
  return { columns, isThere: args !== undefined && columns.length > 0 }
}

interface SourceStep {
  statement: Statement
  flow: Flow
  stored: Stored | undefined
}

/** The columns of a projection in its types, and what else there is, where drift is allowed. Throws FERRY-3002, FERRY-7003. */
export function readSource({ statement, flow, stored }: SourceStep): Made {
  const declared = declaredOf(statement)
  const stream = statement.output
  const drifts = isOn(statement, 'allowSchemaDrift', flow) || !declared.isThere
  const has = new Map<string, StoredColumn>((stored?.columns ?? declared.columns).map(c => [c.name, c]))
  const valueOf = ({ name, type, isCast }: StoredColumn): Value => ({
    sql: isCast ? `CAST(${quoted(name)} AS ${sqlType(type)})` : quoted(name),
    type,
  })
  const columns: Omit<Column, 'id'>[] = []
  const values: Value[] = []
  for (const { name, type, format } of declared.columns) {
    const found = has.get(name)
    if (!found && isOn(statement, 'validateSchema', flow)) {
      throw new FerryError('FERRY-3002', `the source ${stream} has no column ${name}, which its projection names`)
    }
    const value: Value = found ? valueOf(found) : { sql: 'NULL', type: ANY }
    const pattern = format && compile(format, scopeOf({ columns: [] }, flow)).constant
    // `any` is what there is.
    const own = type.kind === 'any' ? (found && found.type.kind !== 'any' ? found.type : STRING) : type
    columns.push(column(name, own, stream))
    // A format says how a text is read.
    values.push(converted(value, own, value.type.kind === 'string' ? pattern : undefined))
  }
  const names = new Set(declared.columns.map(c => c.name))
  // Where each row comes from is a column as others are.
  const url = setting(statement, 'rowUrlColumn', flow)
  if (url !== undefined && declared.isThere && !names.has(url)) {
    names.add(url)
    columns.push(column(url, STRING, stream))
    values.push({ sql: quoted(url), type: STRING })
  }
  for (const own of stored?.columns ?? []) {
    const { name, type } = own
    if (names.has(name)) continue
    if (isOn(statement, 'validateSchema', flow)) {
      throw new FerryError('FERRY-3002', `the source ${stream} has a column ${name} that its projection does not name`)
    }
    if (!drifts) continue
    const wanted = stored?.inferred?.get(name) ?? type
    columns.push({ ...column(name, wanted, stream), isDrifted: declared.isThere })
    values.push(converted(valueOf(own), wanted))
  }
  const all = named(columns)
  const most = setting(statement, 'limit', flow)
  const sql = `SELECT ${listed(
    values.map(v => v.sql),
    all,
  )} FROM ${stored?.table ?? quoted(`source ${stream}`)}${most === undefined ? '' : ` LIMIT ${Number(most)}`}`
  return { stream, sql, columns: all }
}
