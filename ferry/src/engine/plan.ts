import type { Offer } from '../contract/encodings.ts'
import type { ReadRequest } from '../contract/read.ts'
import {
  type Alteration,
  DOCUMENT,
  FILE_PATH,
  type MappedColumn,
  type Naming,
  type TableInfo,
} from '../contract/schema.ts'
import type { SinkTable } from '../contract/sink.ts'
import type { SourceTable } from '../contract/source.ts'
import type { Store } from '../contract/store.ts'
import type { WriteRequest } from '../contract/write.ts'
import { asFerryError, FerryError, nearest } from '../errors.ts'
import type { TableSpec } from '../job/tables.ts'
import { chooseKeys, mapColumns, mayShareKeys, type OwnColumn } from './columns.ts'
import { requireNotIntoItself, requireOptions } from './destinations.ts'
import {
  type IncrementPlan,
  type KeptPosition,
  planIncrement,
  requireDeletes,
  requireIncremental,
  requireMode,
  trackedBy,
} from './increment.ts'
import { placesOf, shapeOf } from './sameplan.ts'
import type { IdleTable, OpenTable, PlanOptions, Sessions, TablePlan } from './tableplan.ts'

function requireUpdate({ update }: TableSpec, { kind, abilities }: Store): void {
  if (abilities.update.includes(update)) return
  const takes = abilities.update.length === 0 ? 'it is a source only' : `it takes ${abilities.update.join(', ')}`
  throw new FerryError('FERRY-3006', `${kind} takes no ${update}: ${takes}`)
}

/** Where a table goes. */
function destinationOf(spec: TableSpec, source: Store, destination: Store): string {
  return spec.to ?? destination.names.defaultObject(source.names.parts(spec.from), spec.write)
}

/** Whether a plan was made from these words of the job: tables keep their plans where others come or go. */
export function isSpecOf(
  spec: TableSpec,
  { read, to }: TablePlan,
  { sourceStore, destinationStore }: Sessions,
): boolean {
  const isSame = spec.from === read.object && spec.query === read.query
  return isSame && destinationOf(spec, sourceStore, destinationStore) === to
}

/** Plans one table. Nothing is written. Throws the FerryError that a user sees. */
export async function planTable(
  sessions: Sessions,
  spec: TableSpec,
  ordinal: number,
  options: PlanOptions,
): Promise<OpenTable | IdleTable> {
  const { sourceStore, destinationStore } = sessions
  if (options.incremental) requireIncremental(spec, sourceStore)
  else if (!options.onlyReads) requireMode(spec, { isOnline: options.online !== undefined })
  requireDeletes(spec, { isOnline: options.online !== undefined })
  requireOptions(sourceStore, spec.read, 'read')
  requireOptions(destinationStore, spec.write, 'write')
  requireUpdate(spec, destinationStore)
  const to = destinationOf(spec, sourceStore, destinationStore)
  const target = { object: to, options: spec.write }
  const drift = spec.columns === undefined ? spec.drift : 'ignore'
  if (spec.query !== undefined && !sourceStore.abilities.queries) {
    throw new FerryError('FERRY-3006', `${sourceStore.label} has no queries`, { hint: 'Name an object: `from`.' })
  }
  const named = { object: spec.from, options: spec.read, query: spec.query }
  const object = { ...named, drift }
  const asked = destinationStore.existing(target)
  // Errors of the source are reported first.
  asked.catch(() => undefined)
  const source = await sourceStore.describe(object)
  if (!source) {
    const kept = sourceStore.abilities.arrivals ? options.incremental?.kept(spec.from, to) : undefined
    if (kept) return filesGone(spec, { to, ordinal }, kept)
    throw await noObject(sourceStore, spec.from)
  }
  const from = spec.query === undefined ? source.object : '(query)'
  requireNotIntoItself(
    { from: sourceStore, to: destinationStore },
    spec.query === undefined ? source : undefined,
    to,
    options,
  )
  const existing = await asked
  if (!existing && spec.create === 'never') {
    throw new FerryError('FERRY-3007', `${destinationStore.label} has no ${to}, and create is "never"`)
  }
  const whole = source.documents !== undefined && destinationStore.documents?.takes(target) === true && !isMapped(spec)
  // A place for documents takes whatever members they have.
  const fixed = existing?.documents ? undefined : existing
  const into = { sourceKind: sourceStore.kind, destination: destinationStore, target, onlyReads: options.onlyReads }
  const own = ownColumns(spec, options.identity, { store: sourceStore, info: source })
  const { columns, alter } = whole
    ? { columns: [WHOLE_DOCUMENT], alter: [] }
    : mapColumns(spec, source, fixed, into, own)
  requireNames(columns, existing ? undefined : destinationStore.names.columns(target), to)
  if (columns.length === 0) throw new FerryError('FERRY-3014', `${from} has no columns`)
  const chosen = destinationStore.documents?.keys ?? (whole ? [] : chooseKeys(spec, columns, source, existing))
  // Of a table that keeps versions the beginning of each is a part of its key.
  const keys = chosen.filter(key => spec.mergeKind === 'scd1' || key !== VERSION.from)
  const skipBadRows = spec.onRowError === 'skip'
  const all: ReadRequest = {
    ...object,
    columns,
    splitBytes: spec.splitBytes,
    skipBadRows,
    ...(source.documents && !whole && drift !== 'ignore'
      ? { known: source.columns.flatMap(c => (c.onRequest ? [] : [c.name])) }
      : {}),
    where: spec.where,
    limit: spec.limit,
    online: options.online,
  }
  const follows = options.online !== undefined || spec.tracking === 'cdc'
  // Documents have keys of their own; rows of a log are identified by the source's key.
  const isRows = destinationStore.documents?.keys !== undefined && !whole
  const separateKeys = isRows
    ? chooseKeys(follows ? spec : { ...spec, update: 'append' }, columns, source, undefined)
    : keys
  const sourceKeys = separateKeys.flatMap(key => columns.find(c => c.name === key)?.from ?? [])
  const increment = options.resumesAt
    ? { plan: options.resumesAt.increment, read: { ...all, log: options.resumesAt.log }, notes: [] }
    : options.incremental || (options.online && sessions.source.follow)
      ? await planIncrement(sessions.source, all, options.online ? { ...spec, tracking: 'cdc' } : spec, {
          tracked: trackedBy(spec, sessions),
          kept: options.incremental?.kept(from, to),
          others: options.incremental?.all ?? [],
          isThere: existing !== undefined || destinationStore.abilities.writesApart,
          keys: sourceKeys,
        })
      : undefined
  const read = increment?.read ?? all
  const inOrder = spec.update === 'merge' && !whole && !follows && mayShareKeys(source, columns, keys)
  const write: WriteRequest = {
    object: to,
    options: spec.write,
    ordinal,
    columns,
    keys: spec.mergeKind === 'scd2' ? [...keys, VERSION.from] : keys,
    update: spec.update,
    // What earlier runs copied stays.
    truncate: spec.truncate && increment?.plan.load !== 'changes',
    before: spec.before,
    after: spec.after,
    skipBadRows,
    existing,
    ...(spec.mergeKind === 'scd2'
      ? {
          history: { keys, ...VERSION, apart: own.map(c => c.name).filter(name => columns.some(c => c.name === name)) },
        }
      : {}),
    ...(alter.length > 0 ? { alter } : {}),
    ...(increment && !read.log ? { adds: true } : {}),
    ...(inOrder ? { inOrder } : {}),
    ...(read.log || options.online
      ? { follows: { deletes: spec.deletes, deletedAt: DELETED_AT, log: sessions.source.follow !== undefined } }
      : {}),
    ...(whole && source.documents?.identity ? { identity: source.documents.identity } : {}),
    ...(isRows && separateKeys.length > 0 ? { rowKeys: separateKeys } : {}),
    ...(follows && isRows
      ? { identity: [['id'], ...separateKeys.filter(k => k !== 'id').map(k => k.split('.'))] }
      : {}),
  }
  if (increment?.plan.isEmpty && alter.length === 0) return { plan: idlePlan(read, write, from, increment) }
  const sourceTable = await sessions.source.table(read)
  const sinkTable = await sessions.sink.table(write)
  const room = options.onlyReads ? undefined : await sinkTable.requireRoom?.()
  const replaces = room ?? replacedBy(write)
  if (spec.mergeKind === 'scd2' && (spec.update !== 'merge' || !sinkTable.changes)) {
    throw new FerryError('FERRY-3006', `${to}: versions are kept by merge, in a database`)
  }
  if (options.online || read.log) refuseOnline(sessions, sourceTable, sinkTable)
  if (alter.length > 0 && !sinkTable.alter) {
    throw new FerryError('FERRY-3013', `${to}: ${destinationStore.kind} cannot change columns of a table`)
  }
  const { offer, passedOver } = negotiate(sourceTable, sinkTable, options.rowsOnly)
  const plan: TablePlan = {
    ordinal,
    from,
    to,
    read,
    write,
    offer,
    passedOver,
    guarantee: sinkTable.plan.guarantee,
    statements: sinkTable.plan.statements,
    notes: [
      ...alter.map(described),
      ...(increment?.notes ?? []),
      ...sinkTable.plan.notes,
      ...zoneNotes(source, columns),
      ...(spec.update === 'merge' &&
      existing &&
      increment?.plan.load !== undefined &&
      increment.plan.load !== 'changes' &&
      !spec.truncate
        ? [`rows of ${to} that the source does not have stay there: \`truncate: true\` empties it first`]
        : []),
      ...(inOrder ? [`of rows with one key (${keys.join(', ')}) the last one read stands`] : []),
    ],
    replaces,
    guesses: source.guesses,
    increment: increment?.plan,
    onRowError: spec.onRowError,
    places: placesOf(sessions, read, to),
    ...(read.log ? {} : { shape: shapeOf(source, existing, alter) }),
    ...(source.rows === undefined || increment?.plan.load === 'changes'
      ? {}
      : { rows: Math.min(source.rows, spec.limit ?? Infinity) }),
    ...(source.bytes === undefined || increment?.plan.load === 'changes' || spec.limit !== undefined
      ? {}
      : { bytes: source.bytes }),
  }
  return { plan, source: sourceTable, sink: sinkTable }
}

/** What of a table goes, in words; undefined where nothing does. */
function replacedBy({ existing, update, truncate, object }: WriteRequest): string | undefined {
  if (!existing || (update !== 'overwrite' && !truncate)) return undefined
  const { rows } = existing
  return rows ? `what ${object} holds, about ${rows} rows` : `what ${object} holds`
}

function zoneNotes(source: TableInfo, columns: MappedColumn[]): string[] {
  const names = columns.flatMap(({ from, type }) => {
    const guessed = source.columns.find(c => c.name === from && c.inferred)?.type
    return guessed?.kind === 'timestamp' && !guessed.zone && type.kind === 'timestamp' && type.zone ? [from] : []
  })
  return names.length === 0 ? [] : [`times of ${names.join(', ')}, which name no zone, are taken as UTC`]
}

/** Throws FERRY-3015 for names that the destination would cut off, reserves, or treats as equal. */
function requireNames(columns: MappedColumn[], naming: Naming | undefined, to: string): void {
  const refuse = (message: string) => new FerryError('FERRY-3015', `${to}: ${message}`)
  const seen = new Map<string, string>()
  for (const { name } of columns) {
    const shown = JSON.stringify(name.length > 80 ? `${name.slice(0, 77)}...` : name)
    if (!naming) {
      if (seen.has(name)) throw refuse(`two columns of the source go to ${shown}`)
      seen.set(name, name)
      continue
    }
    const { foldsCase, mostBytes, mostCharacters, reserved, mayBeEmpty } = naming
    if (name === '' && !mayBeEmpty) throw refuse('a column has an empty name')
    if (name.includes('\0') || !name.isWellFormed())
      throw refuse(`the column name ${shown} has a character that it cannot have`)
    if (mostBytes !== undefined && Buffer.byteLength(name) > mostBytes) {
      throw refuse(`the column name ${shown} is longer than ${mostBytes} bytes: the rest would be cut off`)
    }
    if (mostCharacters !== undefined && name.length > mostCharacters) {
      throw refuse(`the column name ${shown} is longer than ${mostCharacters} characters`)
    }
    if (reserved?.includes(name)) throw refuse(`the column name ${shown} is the destination's own`)
    const key = foldsCase ? name.toLowerCase() : name
    const other = seen.get(key)
    if (other !== undefined) throw refuse(`${JSON.stringify(other)} and ${shown} are one name there`)
    seen.set(key, name)
  }
}

/** The column with the time when a row was deleted at the source; null for rows that exist. */
export const DELETED_AT = '_deleted_at'

/** The columns that say when a version of a row was valid. */
const VERSION = { from: 'valid_from', to: 'valid_to', current: 'is_current' }
export const VERSION_COLUMNS = Object.values(VERSION)

/** The columns that a table gets beside those of its source. */
function ownColumns(
  spec: TableSpec,
  { run, job }: PlanOptions['identity'],
  { store, info }: { store: Store; info: TableInfo },
): OwnColumn[] {
  const values = { run, job, loadedAt: new Date().toISOString(), source: `${store.label} ${spec.from}` }
  const tellsFile = info.columns.some(c => c.name === FILE_PATH && c.onRequest)
  const audit: OwnColumn[] = (Object.keys(spec.audit) as (keyof typeof values)[]).map(key => ({
    name: spec.audit[key]!,
    type: key === 'loadedAt' ? 'timestamp[us, tz]' : 'utf8',
    // For files, each row can have the path of its file.
    ...(key === 'source' && tellsFile ? { from: FILE_PATH } : { value: values[key] }),
  }))
  const instant = 'timestamp[us, tz]'
  if (spec.deletes === 'mark') audit.push({ name: DELETED_AT, type: instant })
  if (spec.mergeKind === 'scd1') return audit
  return [
    ...audit,
    { name: VERSION.from, type: instant, value: values.loadedAt, required: true },
    { name: VERSION.to, type: instant },
    { name: VERSION.current, type: 'bool', value: 'true' },
  ]
}

const described = ({ kind, column, native }: Alteration) =>
  kind === 'add' ? `the column ${column} (${native}) is added` : `the column ${column} is widened to ${native}`

function idlePlan(
  read: ReadRequest,
  write: WriteRequest,
  from: string,
  { plan: increment, notes }: { plan: IncrementPlan; notes: string[] },
): TablePlan {
  const { ordinal, object: to } = write
  const none = { offer: { encoding: 'rows' } as const, passedOver: [], guarantee: 'nothing is written', statements: [] }
  return { ordinal, from, to, read, write, ...none, notes, onRowError: 'fail', increment }
}

/** Files that were copied and taken away are no fault: new ones may come. */
function filesGone(
  spec: TableSpec,
  { to, ordinal }: { to: string; ordinal: number },
  position: KeptPosition,
): IdleTable {
  const read: ReadRequest = { object: spec.from, options: spec.read, columns: [], splitBytes: 1, skipBadRows: false }
  const shape = { update: spec.update, truncate: false, before: [], after: [], skipBadRows: false }
  const write: WriteRequest = { object: to, options: spec.write, ordinal, columns: [], keys: [], ...shape }
  const plan: IncrementPlan = { load: 'changes', range: `no file is there`, isEmpty: true, position }
  return { plan: idlePlan(read, write, spec.from, { plan, notes: [] }) }
}

/** The whole document, unchanged. */
const WHOLE_DOCUMENT: MappedColumn = {
  name: DOCUMENT,
  from: DOCUMENT,
  sourceType: { kind: 'json' },
  type: { kind: 'json' },
  nullable: false,
  checked: false,
}

function refuseOnline({ sourceStore, destinationStore }: Sessions, source: SourceTable, sink: SinkTable): void {
  const reason = !source.follows
    ? `${sourceStore.label} does not tell what changes`
    : !sink.takesChanges && !sink.changes
      ? `${destinationStore.label} takes no deletes, or not with this update method`
      : undefined
  if (reason !== undefined) throw new FerryError('FERRY-3009', `changes cannot be followed here: ${reason}`)
}

/** True if a job sets anything about columns. */
function isMapped(spec: TableSpec): boolean {
  const typed = (spec.read as { types?: unknown }).types !== undefined
  return typed || spec.columns !== undefined || spec.constants !== undefined || spec.casing !== 'asIs'
}

/** Opens the table of a plan again, for a run that is resumed. */
export async function reopenTable(sessions: Sessions, plan: TablePlan): Promise<OpenTable> {
  const source = await sessions.source.table(plan.read)
  const sink = await sessions.sink.table(plan.write)
  return { plan, source, sink }
}

function negotiate(source: SourceTable, sink: SinkTable, rowsOnly: boolean): { offer: Offer; passedOver: string[] } {
  const passedOver: string[] = []
  for (const offer of sink.offers) {
    const { encoding } = offer
    if (rowsOnly && encoding !== 'rows') {
      passedOver.push(`${encoding}: a limit counts rows`)
      continue
    }
    const reason = source.refuses(offer)
    if (reason === undefined) {
      const open = offer.encoding === 'csv' && offer.dialect === 'any'
      return { offer: open ? { ...offer, dialect: source.csvDialect!() } : offer, passedOver }
    }
    passedOver.push(`${encoding}: ${reason}`)
  }
  throw new FerryError('FERRY-3006', `the destination takes nothing that the source gives (${passedOver.join('; ')})`, {
    hint: 'Give both sides the same format, or another one to the destination.',
  })
}

async function noObject(store: Store, name: string): Promise<FerryError> {
  const own = store.missing?.(name)
  if (own) return own
  const objects = await store.objects().catch(error => {
    throw asFerryError(error)
  })
  const near = nearest(name, objects) ?? objects.find(o => o.toLowerCase().endsWith(`.${name.toLowerCase()}`))
  return new FerryError('FERRY-3001', `${store.label} has no ${name}${near ? `: did you mean ${near}?` : ''}`, {
    hint:
      objects.length > 0
        ? `It has: ${objects.slice(0, 12).join(', ')}${objects.length > 12 ? ', ...' : ''}`
        : 'It is empty.',
  })
}
