/** What the suite knows of a store, and what its tests have in common. */
import { existsSync, realpathSync, symlinkSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished } from 'vitest'
import { policy, temporaryFolder } from '../../../../test/support.ts'
import { type Column, parseType, type Row } from '../../batch/types.ts'
import { loadConnector } from '../../connectors/registry.ts'
import { type CopyJob, jobSchema } from '../../job/schema.ts'
import type { RunReport } from '../../runtime/report.ts'
import { runJob } from '../../runtime/run.ts'
import { openState, type State } from '../../state/database.ts'
import type { Kind, Store } from '../store.ts'
import type { UpdateMethod } from '../write.ts'
import { readRows, shown } from './rows.ts'

/** A store made anew for a test. */
export interface Place {
  endpoint: { kind: string } & Record<string, unknown>
  /** The name of an object there. */
  object: (name: string) => string
  /** The pattern of all objects, where the store has patterns of its own. */
  all?: string
  /** Options of its objects, in `read` and in `write`. */
  read?: Record<string, unknown>
  write?: Record<string, unknown>
}

export interface Subject {
  kind: Pick<Kind, 'abilities' | 'tellsChanges'>
  make: () => Promise<Place>
  /** Of each sample of values what the store may refuse; the others it must take. */
  refuses?: Record<string, (text: string) => boolean>
  /** Whether columns can be added to what is there by a later run. */
  evolves: boolean
  /** A filter in the store's language that holds for `n` below 10; one that has none must refuse it. */
  filter?: string
  /** Whether what is there is never added to: a single file. */
  isWhole?: true
  /** Whether one process opens it at a time: its lock keeps a former one out. */
  isLocked?: true
  /** How often a process is killed while it commits; 0 where another subject commits in the same way. */
  kills?: number
}

export const ID: Column = { name: 'id', type: parseType('utf8')!, nullable: false }
export const COLUMNS: Column[] = [ID, { name: 'n', type: parseType('int64')!, nullable: true }]

/** The store itself, closed when the test ends. */
export async function open({ endpoint: { kind, ...settings } }: Pick<Place, 'endpoint'>): Promise<Store> {
  const store = (await loadConnector(kind)).open(settings, policy)
  onTestFinished(() => store.close())
  return store
}

export async function newState(): Promise<State> {
  const state = await openState({ FERRY_HOME: temporaryFolder() })
  onTestFinished(() => state.close())
  return state
}

/** A SQLite database that is copied from, or to. */
export function database(): { db: DatabaseSync; endpoint: { kind: string; path: string } } {
  const path = join(temporaryFolder(), 'other.db')
  const db = new DatabaseSync(path)
  onTestFinished(() => db.close())
  return { db, endpoint: { kind: 'sqlite', path } }
}

export const jobOf = (job: object): CopyJob => jobSchema.parse({ name: 'conformance', ...job })

export async function completed(state: State, job: CopyJob): Promise<RunReport> {
  const report = await runJob({ policy, state, job })
  expect(report.status, JSON.stringify(report.errors)).toBe('completed')
  return report
}

/** A source of rows `r0` to `r(count - 1)`, and what is to be at the destination. */
export function source(count: number) {
  const { db, endpoint } = database()
  db.exec('CREATE TABLE t (id TEXT PRIMARY KEY, n INTEGER)')
  const put = db.prepare('INSERT OR REPLACE INTO t VALUES (?, ?)')
  const add = (from: number, to: number, n = 0) => {
    for (let i = from; i < to; i++) put.run(`r${i}`, i + n)
  }
  add(0, count)
  return { db, endpoint, add }
}

/** A job that copies the table `t` into an object of a place. */
export function into(
  place: Place,
  from: object,
  update: UpdateMethod,
  more: { table?: object; job?: object; name?: string } = {},
): CopyJob {
  return jobOf({
    source: from,
    destination: place.endpoint,
    update,
    write: place.write ?? {},
    tables: [{ from: 't', to: place.object(more.name ?? 'copy'), keys: ['id'], ...more.table }],
    ...more.job,
  })
}

export const textOf = (row: Row, columns: Column[]): string =>
  row.map((value, i) => shown(value, columns[i]!.type)).join(' ')

/** The rows of an object as texts, sorted; none if it does not exist. */
export async function found(place: Place, name = 'copy', columns = COLUMNS): Promise<string[]> {
  const store = await open(place)
  const object = place.object(name)
  if (!(await store.describe({ object, options: place.read ?? {} }))) return []
  const rows = await readRows(store, object, place.read ?? {}, columns)
  return rows.map(row => textOf(row, columns)).sort()
}

export const numbered = (from: number, to: number, n = 0) =>
  Array.from({ length: to - from }, (_, i) => `r${from + i} ${from + i + n}`).sort()

/** Rows as `numbered` names them. */
export const rowsOf = (from: number, to: number, n = 0): Row[] =>
  Array.from({ length: to - from }, (_, i) => [`r${from + i}`, from + i + n])

/** The same store under another spelling of its settings: files and folders through a link. Undefined if there is none. */
export function aliasOf({ kind, ...settings }: Place['endpoint']): Place['endpoint'] | undefined {
  for (const [name, value] of Object.entries(settings)) {
    if (typeof value !== 'string' || !value.startsWith('/') || !existsSync(value)) continue
    const link = join(temporaryFolder(), 'link')
    symlinkSync(dirname(realpathSync(value)), link)
    return { kind, ...settings, [name]: join(link, basename(value)) }
  }
  return undefined
}
