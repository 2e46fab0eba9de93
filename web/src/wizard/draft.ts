/** A job as the wizard holds it, to and from its definition. What the wizard does not show stays as it is. */
import type { Looked } from '../api.ts'
import type { ScheduleValue } from '../parts/scheduleform.tsx'

export type Update = 'append' | 'overwrite' | 'merge'
export type Mode = 'full' | 'incremental' | 'online'

export interface ColumnDraft {
  to: string
  type?: string
}

export interface TableDraft {
  /** What tells it from the draft's other tables: the name of its object, or one of its query. */
  key: string
  from?: string
  /** In place of an object. */
  query?: string
  to?: string
  update?: Update
  keys?: string[]
  tracking?: 'watermark' | 'cdc'
  incrementalColumn?: string
  /** Source column -> destination; undefined: all, by name. */
  columns?: Record<string, ColumnDraft>
  /** Settings of the table that the wizard does not show. */
  rest: Record<string, unknown>
}

export interface Draft {
  /** Undefined until somebody names it. */
  name?: string
  source: string
  destination: string
  mode: Mode
  update: Update
  tables: TableDraft[]
  schedules: ScheduleValue[]
  rest: Record<string, unknown>
}

export const emptyDraft: Draft = {
  source: '',
  destination: '',
  mode: 'full',
  update: 'overwrite',
  tables: [],
  schedules: [],
  rest: {},
}

type Json = Record<string, unknown>

/** The draft of a job; undefined where the job names its stores itself: that is edited as text. */
export function draftOf(definition: Json): Draft | undefined {
  const { name, source, destination, mode = 'full', update = 'append', tables, schedules = [], ...rest } = definition
  const from = (source as Json).connection
  const to = (destination as Json).connection
  if (typeof from !== 'string' || typeof to !== 'string') return undefined
  const entries = (tables as (string | Json)[]).map(t => (typeof t === 'string' ? { from: t } : t))
  return {
    name: String(name),
    source: from,
    destination: to,
    mode: mode as Mode,
    update: update as Update,
    tables: entries.map((entry, i) => tableDraft(entry, i)),
    schedules: schedules as ScheduleValue[],
    rest,
  }
}

function tableDraft(entry: Json, place: number): TableDraft {
  const { from, query, to, update, keys, tracking, incrementalColumn, columns, ...rest } = entry
  const mapped =
    columns !== undefined &&
    Object.entries(columns as Record<string, string | ColumnDraft>).map(([name, target]) => {
      if (typeof target === 'string') return [name, { to: target }]
      return [name, { ...target, to: target.to ?? name }]
    })
  return {
    ...(query === undefined
      ? { key: String(from), from: String(from) }
      : { key: queryKey(place + 1), query: String(query) }),
    ...(to === undefined ? {} : { to: String(to) }),
    ...(update === undefined ? {} : { update: update as Update }),
    ...(keys === undefined ? {} : { keys: keys as string[] }),
    ...(tracking === undefined ? {} : { tracking: tracking as 'cdc' }),
    ...(incrementalColumn === undefined ? {} : { incrementalColumn: String(incrementalColumn) }),
    ...(mapped ? { columns: Object.fromEntries(mapped) } : {}),
    rest,
  }
}

const queryKey = (number: number) => `query ${number}`

/** A query as one more table of a draft. */
export function withQuery(draft: Draft): TableDraft[] {
  const keys = new Set(draft.tables.map(t => t.key))
  let number = 1
  while (keys.has(queryKey(number))) number++
  return [...draft.tables, { key: queryKey(number), query: '', rest: {} }]
}

/** What is looked at in the source for a table; undefined where that is many: a pattern, unless it means files of one. */
export function lookedAt(draft: Draft, table: TableDraft, areFiles = false): Looked | undefined {
  const read = { ...(draft.rest.read as Json | undefined), ...(table.rest.read as Json | undefined) }
  const options = Object.keys(read).length > 0 ? { read: JSON.stringify(read) } : {}
  if (table.query !== undefined) return table.query.trim() === '' ? undefined : { query: table.query, ...options }
  return table.from === undefined || (!areFiles && /[*?]/.test(table.from))
    ? undefined
    : { object: table.from, ...options }
}

/** The settings with another value of one, or without it. */
export function withSetting(settings: Json, name: string, value: unknown): Json {
  const { [name]: _, ...others } = settings
  return value === undefined ? others : { ...others, [name]: value }
}

export function definitionOf(draft: Draft): Json {
  const { name, source, destination, mode, update, tables, schedules, rest } = draft
  return {
    name,
    source: { connection: source },
    destination: { connection: destination },
    ...rest,
    mode,
    update,
    tables: tables.map(t => {
      const { key: _, rest: more, columns, ...shown } = t
      const isTracked = mode === 'incremental'
      const { tracking, incrementalColumn, ...plain } = shown
      const entry: Json = {
        ...plain,
        ...(isTracked && tracking ? { tracking } : {}),
        ...(isTracked && incrementalColumn && tracking !== 'cdc' ? { incrementalColumn } : {}),
        ...(columns ? { columns: columnsOf(columns) } : {}),
        ...more,
      }
      return Object.keys(entry).length === 1 && t.from !== undefined ? t.from : entry
    }),
    ...(schedules.length > 0 ? { schedules } : {}),
  }
}

function columnsOf(columns: Record<string, ColumnDraft>): Json {
  return Object.fromEntries(
    // A member that another system keeps beside name and type, a default value, stays.
    Object.entries(columns).map(([name, target]) => [name, Object.keys(target).length === 1 ? target.to : target]),
  )
}
