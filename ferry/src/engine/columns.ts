/** The columns of a table in a copy: chosen, renamed, cast, with constants and defaults; every mismatch is explained. */
import { converter, fit } from '../batch/convert.ts'
import { formatText, parseText } from '../batch/text.ts'
import { type LogicalType, parseType, sameType, typeName, utf8 } from '../batch/types.ts'
import type { Alteration, MappedColumn, ObjectSpec, TableColumn, TableInfo } from '../contract/schema.ts'
import type { Store } from '../contract/store.ts'
import { didYouMean, FerryError } from '../errors.ts'
import { applyCasing, type TableSpec } from '../job/tables.ts'
import { type FormsWanted, formsOf, madeType } from './forms.ts'

interface Wanted extends FormsWanted {
  to: string
  from?: TableColumn
  type?: string
  constant?: string
  default?: string
  /** Whether the column is Ferry's own: made where it is missing. */
  own?: boolean
  /** Whether the job names the column, or it is taken because the source has it. */
  named: boolean
}

/** The mapping of a column that is read under its own name and type. */
export function asItIs({ name, type, native }: Pick<MappedColumn, 'name' | 'type' | 'native'>): MappedColumn {
  const own = native === undefined ? {} : { native, sourceNative: native }
  return { name, from: name, sourceType: type, type, nullable: true, checked: false, ...own }
}

/** A column that Ferry adds: a value for all rows of the run, a value of the source for each row, or null. */
export interface OwnColumn {
  name: string
  type: string
  value?: string
  /** A column that the source has on request. */
  from?: string
  /** Whether it is a part of the key. */
  required?: boolean
}

interface Into {
  /** Whether nothing is going to be written. */
  onlyReads?: boolean | undefined
  sourceKind: string
  destination: Store
  target: ObjectSpec
}

/** The mapping of a table. Throws FERRY-3002, 3003, 3004 or 3010 with everything that is wrong. */
export function mapColumns(
  spec: TableSpec,
  source: TableInfo,
  existing: TableInfo | undefined,
  into: Into,
  ownColumns: OwnColumn[] = [],
): { columns: MappedColumn[]; alter: Alteration[] } {
  const mapped: MappedColumn[] = []
  const alter: Alteration[] = []
  const problems: FerryError[] = []
  const refused = new Set<string>()
  const own = ownColumns.map(c => ({
    to: c.name,
    type: c.type,
    named: true,
    own: true,
    constant: c.value,
    ...(c.from === undefined ? {} : { from: source.columns.find(s => s.name === c.from)! }),
  }))
  for (const wanted of wantedColumns(spec, source, own)) {
    try {
      const unreadable = wanted.from?.unreadable
      if (unreadable) {
        throw new FerryError('FERRY-4009', `${wanted.from!.name} ${unreadable.why}`, { hint: unreadable.hint })
      }
      const column = existing
        ? intoExisting(wanted, existing, spec, into, alter)
        : intoNew(wanted, into, source, spec.texts)
      if (column) mapped.push(column)
    } catch (error) {
      if (!(error instanceof FerryError)) throw error
      problems.push(error)
      refused.add(wanted.to.toLowerCase())
    }
  }
  const missing = (existing?.columns ?? []).filter(
    c =>
      !c.nullable &&
      !c.hasDefault &&
      !c.generated &&
      !refused.has(c.name.toLowerCase()) &&
      !mapped.some(m => m.name === c.name),
  )
  if (missing.length > 0 && !into.onlyReads) {
    problems.push(
      new FerryError('FERRY-3010', `${missing.map(c => c.name).join(', ')} gets no value, and may not be null`),
    )
  }
  if (problems.length === 0) return { columns: mapped, alter }
  const [first] = problems
  const text = [...new Set(problems.map(p => p.message))].join('; ')
  throw new FerryError(first!.code, `${spec.from} -> ${existing?.object ?? spec.to ?? 'destination'}: ${text}`, {
    hint: first!.hint,
  })
}

function wantedColumns(spec: TableSpec, source: TableInfo, own: Wanted[]): Wanted[] {
  const wanted: Wanted[] = []
  const byName = new Map(source.columns.map(c => [c.name, c]))
  if (spec.columns) {
    for (const [name, target] of Object.entries(spec.columns)) {
      const from = byName.get(name)
      if (!from) throw noColumn(name, source)
      const options: Exclude<typeof target, string> = typeof target === 'string' ? { to: target } : target
      wanted.push({
        to: options.to ?? applyCasing(name, spec.casing),
        from,
        named: true,
        type: options.type,
        ...(options.default === undefined ? {} : { default: String(options.default) }),
        parse: options.parse,
        print: options.print,
      })
    }
  } else {
    for (const from of source.columns.filter(c => !c.onRequest))
      wanted.push({ to: applyCasing(from.name, spec.casing), from, named: false })
  }
  for (const [name, value] of Object.entries(spec.constants ?? {})) {
    const constant = typeof value === 'object' ? value : { value }
    const at = wanted.findIndex(w => w.to === name && !w.named)
    if (at >= 0) wanted.splice(at, 1)
    wanted.push({
      to: name,
      constant: String(constant.value),
      named: true,
      ...('type' in constant && constant.type !== undefined ? { type: constant.type } : {}),
    })
  }
  wanted.push(...own)
  const twice = wanted.find((w, i) => wanted.findIndex(o => o.to === w.to) !== i)
  if (twice) throw new FerryError('FERRY-1003', `${spec.from}: two columns go to ${twice.to}`)
  return wanted
}

const NO_TABLE: TableInfo = { object: '', columns: [], primaryKey: [] }

function noColumn(name: string, table: TableInfo): FerryError {
  const names = table.columns.map(c => c.name)
  const near = didYouMean(name, names)
  return new FerryError('FERRY-3002', `${table.object} has no column ${name}${near}`, {
    hint: `Its columns: ${names.join(', ')}.`,
  })
}

function requestedType(wanted: Wanted) {
  if (wanted.type === undefined) return undefined
  const type = parseType(wanted.type)
  if (type) return type
  throw new FerryError('FERRY-1003', `${wanted.to}: there is no type "${wanted.type}"`, {
    hint: 'Types: bool, int8 ... int64, uint8 ... uint64, float32, float64, decimal(p,s), utf8, json, uuid, binary, date, time, timestamp[us], timestamp[us, tz], interval, list<...>.',
  })
}

function intoExisting(
  wanted: Wanted,
  existing: TableInfo,
  spec: TableSpec,
  into: Into,
  alter: Alteration[],
): MappedColumn | undefined {
  const target =
    existing.columns.find(c => c.name === wanted.to) ??
    existing.columns.find(c => c.name.toLowerCase() === wanted.to.toLowerCase())
  if (!target) return intoMissing(wanted, existing, spec, into, alter)
  if (target.generated) {
    // The destination computes it: by name alone it is simply left to it.
    if (!wanted.named) return undefined
    throw new FerryError('FERRY-3003', `${target.name} is generated at the destination and takes no value`)
  }
  const { from } = wanted
  const asked = requestedType(wanted)
  const throughTexts = formsOf(wanted, target.inferred ? utf8 : (asked ?? target.type), spec.texts)
  if (throughTexts) {
    const { type, native, nullable } = target.inferred ? { ...target, type: utf8 } : target
    return finish(wanted, { name: target.name, native, nullable, checked: true, ...throughTexts, type })
  }
  const sourceType = from ? (from.inferred && isFlat(target.type.kind) ? target.type : from.type) : utf8
  const relation = from ? fit(asked ?? sourceType, target.type) : 'same'
  const native = `${target.name} (${target.native ?? typeName(target.type)})`
  if (relation === 'none') {
    throw new FerryError('FERRY-3003', `${native} cannot hold ${typeName(sourceType)} of ${from!.name}`)
  }
  const isSameNative = into.sourceKind === into.destination.kind && from?.native === target.native
  if (target.alters && from && !isSameNative) {
    throw new FerryError(
      'FERRY-3004',
      `${native} ${target.alters} without a word: ${typeName(sourceType)} of ${from.name}`,
      {
        hint: `Give ${target.name} another type, or leave it out.`,
      },
    )
  }
  const asMade = isAsMade(wanted, target, existing, into)
  if (relation === 'narrower' && from && !wanted.named && spec.drift === 'evolve' && !asMade) {
    const wider = widened(wanted, from, target, into)
    if (wider) {
      alter.push({ kind: 'widen', column: target.name, native: wider.native })
      return finish(wanted, { name: target.name, sourceType, ...wider, nullable: target.nullable, checked: false })
    }
  }
  const isIgnored = spec.drift === 'ignore' && !wanted.named
  if (relation === 'narrower' && asked === undefined && spec.narrowing === 'refuse' && !isIgnored && !asMade) {
    throw new FerryError('FERRY-3004', `${native} is narrower than ${typeName(sourceType)} of ${from!.name}`)
  }
  return finish(wanted, {
    name: target.name,
    sourceType,
    type: target.type,
    native: target.native,
    nullable: target.nullable,
    checked: relation === 'narrower' || (asked !== undefined && fit(sourceType, target.type) === 'narrower'),
  })
}

/** Whether the column is what it would be made as: each value is then checked, as in the run that makes the table. */
function isAsMade(
  { to, from }: Wanted,
  target: TableColumn,
  { primaryKey }: TableInfo,
  { sourceKind, destination, target: object }: Into,
): boolean {
  if (!from) return false
  const own = from.native ? { native: from.native } : {}
  const made = destination.created({ name: to, type: from.type, nullable: true, ...own }, sourceKind, object)
  if (sameType(made.type, target.type)) return true
  const isKey = primaryKey.includes(target.name)
  return isKey && destination.keyNative?.(made.native) === target.native?.toLowerCase()
}

/** A column that only the source has. */
function intoMissing(
  wanted: Wanted,
  existing: TableInfo,
  spec: TableSpec,
  into: Into,
  alter: Alteration[],
): MappedColumn | undefined {
  if (wanted.own) {
    const column = { ...intoNew(wanted, into, NO_TABLE), nullable: true }
    alter.push({ kind: 'add', column: wanted.to, native: column.native ?? '' })
    return column
  }
  if (wanted.named || !wanted.from) throw noColumn(wanted.to, existing)
  if (spec.drift === 'ignore') return undefined
  if (spec.drift === 'freeze') {
    throw new FerryError('FERRY-3013', `${existing.object} has no column ${wanted.to}, which the source has`, {
      hint: 'Set `drift: evolve` to add it, `drift: ignore` to leave it out, or name the columns that are copied.',
    })
  }
  const { missing } = wanted.from
  const column = intoNew(wanted, into, NO_TABLE, spec.texts)
  const native = column.native ?? ''
  alter.push({ kind: 'add', column: wanted.to, native, missing })
  return { ...column, nullable: true }
}

/** The type that a column is made as for the source's, where what it holds now fits into that. */
function widened(
  { to }: Wanted,
  from: TableColumn,
  target: TableColumn,
  { sourceKind, destination, target: object }: Into,
) {
  const own = from.native ? { native: from.native } : {}
  const made = destination.created({ name: to, type: from.type, nullable: true, ...own }, sourceKind, object)
  const keeps = ['same', 'wider'].includes(fit(target.type, made.type))
  return keeps && ['same', 'wider'].includes(fit(from.type, made.type)) ? made : undefined
}

function intoNew(
  wanted: Wanted,
  { sourceKind, destination, target }: Into,
  source: TableInfo,
  texts?: TableSpec['texts'],
): MappedColumn {
  const { from } = wanted
  const asked = requestedType(wanted) ?? madeType(wanted, texts)
  const throughTexts = asked && formsOf(wanted, asked, texts)
  if (throughTexts) {
    const made = destination.created({ name: wanted.to, type: asked, nullable: true }, sourceKind, target)
    return finish(wanted, { ...made, name: wanted.to, nullable: true, checked: true, ...throughTexts })
  }
  const wish = asked ?? (from ? from.type : utf8)
  const made = destination.created(
    { name: wanted.to, type: wish, nullable: true, ...(asked || !from?.native ? {} : { native: from.native }) },
    sourceKind,
    target,
  )
  // What becomes text is read as its own text, as it is into a table that has such a column already.
  const isText = made.type.kind === 'utf8' && from?.inferred && isFlat(from.type.kind)
  const readAs = isText ? made.type : asked !== undefined && from?.inferred && isFlat(asked.kind) ? asked : from?.type
  const sourceType = readAs ?? utf8
  const relation = from ? fit(sourceType, made.type) : 'same'
  if (relation === 'none') {
    throw new FerryError('FERRY-3003', `${wanted.to}: ${destination.kind} cannot hold ${typeName(sourceType)}`)
  }
  const required = from !== undefined && !from.nullable
  return finish(wanted, {
    name: wanted.to,
    sourceType,
    type: made.type,
    native: made.native,
    nullable:
      wanted.own || (!required && !(from && source.primaryKey.includes(from.name)) && wanted.constant === undefined),
    checked: relation === 'narrower',
    ...filledAs(from, sourceKind === destination.kind, made.type),
    ...(from?.inferred && asked === undefined ? { guessed: true } : {}),
  })
}

/** What fills the source's column fills the one that is created, so that the next insert there does what it did here. */
function filledAs(from: TableColumn | undefined, isSameKind: boolean, type: LogicalType): Pick<MappedColumn, 'filled'> {
  if (!from?.hasDefault) return {}
  if (from.autoIncrement && type.kind === 'int') return { filled: { by: 'numbers' } }
  const text = from.missing === undefined ? undefined : constantAs(from.missing, from.type, type)
  if (text !== undefined) return { filled: { by: 'text', text } }
  return isSameKind && from.defaultSql !== undefined ? { filled: { by: 'sql', sql: from.defaultSql } } : {}
}

/** A constant of one type as the canonical text of another; undefined where it cannot be carried over. */
function constantAs(text: string, from: LogicalType, to: LogicalType): string | undefined {
  try {
    const value = parseText(text, from)
    const converted = converter(from, to)?.(value) ?? value
    return formatText(converted, to)
  } catch (error) {
    if (error instanceof FerryError) return undefined
    throw error
  }
}

/** Types whose values a text file holds as text: they can be read under whatever type the destination has. */
function isFlat(kind: string): boolean {
  return !['list', 'struct', 'map'].includes(kind)
}

function finish(wanted: Wanted, column: MappedColumn): MappedColumn {
  for (const text of [wanted.constant, wanted.default]) {
    if (text !== undefined) parseText(text, column.type)
  }
  return {
    ...column,
    ...(wanted.from ? { from: wanted.from.name, sourceNative: wanted.from.native } : {}),
    constant: wanted.constant,
    default: wanted.default,
  }
}

/**
 * The keys of a table, as destination columns: the job's, else the destination's primary key, else the source's.
 * Throws FERRY-3005 where a merge has none.
 */
export function chooseKeys(
  spec: TableSpec,
  columns: MappedColumn[],
  source: TableInfo,
  existing: TableInfo | undefined,
): string[] {
  const toDestination = (key: string) =>
    columns.find(c => c.name === key)?.name ?? columns.find(c => c.from === key)?.name
  if (spec.keys) {
    return spec.keys.map(key => {
      const found = toDestination(key)
      if (found === undefined)
        throw new FerryError('FERRY-3002', `${spec.from}: the key ${key} is not among its columns`)
      return found
    })
  }
  const own = existing?.primaryKey ?? []
  if (own.length > 0 && own.every(k => columns.some(c => c.name === k))) return own
  const fromSource = source.primaryKey.map(k => columns.find(c => c.from === k)?.name)
  const keys = fromSource.length > 0 && fromSource.every(k => k !== undefined) ? (fromSource as string[]) : []
  if (spec.update === 'merge' && keys.length === 0) {
    throw new FerryError('FERRY-3005', `${spec.from}: merge needs keys, and the table has no primary key`)
  }
  return existing && spec.update !== 'merge' ? [] : keys
}

/** True if several rows of the source may have the same key at the destination: nothing rules it out. */
export function mayShareKeys(source: TableInfo, columns: MappedColumn[], keys: string[]): boolean {
  const given = keys.flatMap(key => columns.find(c => c.name === key && c.default === undefined)?.from ?? [])
  // Documents without an id get one of the source's key.
  const isMade = keys.some(key => !columns.some(c => c.name === key))
  const own = source.documents?.identity?.map(path => path.join('.')) ?? source.primaryKey
  return own.length === 0 || !(isMade || own.every(key => given.includes(key)))
}
