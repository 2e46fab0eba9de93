/** A job as the wizard holds it, to and from its definition. What the wizard does not show stays as it is. */
import type { ScheduleValue } from '../parts/scheduleform.tsx'

export type Update = 'append' | 'overwrite' | 'merge'
export type Mode = 'full' | 'incremental' | 'online'

export interface ColumnDraft {
  to: string
  type?: string
}

export interface TableDraft {
  from: string
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

/** The draft of a job; undefined where the job names its stores itself or reads queries: those are edited as text. */
export function draftOf(definition: Json): Draft | undefined {
  const { name, source, destination, mode = 'full', update = 'append', tables, schedules = [], ...rest } = definition
  const from = (source as Json).connection
  const to = (destination as Json).connection
  if (typeof from !== 'string' || typeof to !== 'string') return undefined
  const entries = (tables as (string | Json)[]).map(t => (typeof t === 'string' ? { from: t } : t))
  if (entries.some(t => typeof t.from !== 'string')) return undefined
  return {
    name: String(name),
    source: from,
    destination: to,
    mode: mode as Mode,
    update: update as Update,
    tables: entries.map(tableDraft),
    schedules: schedules as ScheduleValue[],
    rest,
  }
}

function tableDraft(entry: Json): TableDraft {
  const { from, to, update, keys, tracking, incrementalColumn, columns, ...rest } = entry
  const mapped =
    columns !== undefined &&
    Object.entries(columns as Record<string, string | ColumnDraft>).map(([name, target]) => {
      if (typeof target === 'string') return [name, { to: target }]
      return [name, { ...target, to: target.to ?? name }]
    })
  return {
    from: String(from),
    ...(to === undefined ? {} : { to: String(to) }),
    ...(update === undefined ? {} : { update: update as Update }),
    ...(keys === undefined ? {} : { keys: keys as string[] }),
    ...(tracking === undefined ? {} : { tracking: tracking as 'cdc' }),
    ...(incrementalColumn === undefined ? {} : { incrementalColumn: String(incrementalColumn) }),
    ...(mapped ? { columns: Object.fromEntries(mapped) } : {}),
    rest,
  }
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
      const { rest: more, columns, ...shown } = t
      const isTracked = mode === 'incremental'
      const { tracking, incrementalColumn, ...plain } = shown
      const entry: Json = {
        ...plain,
        ...(isTracked && tracking ? { tracking } : {}),
        ...(isTracked && incrementalColumn && tracking !== 'cdc' ? { incrementalColumn } : {}),
        ...(columns ? { columns: columnsOf(columns) } : {}),
        ...more,
      }
      return Object.keys(entry).length === 1 ? t.from : entry
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
