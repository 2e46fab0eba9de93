/**
 * Following tables through the write-ahead log: one slot and one publication for a job, one stream for all tables of a
 * run, each of which reads its own changes in the order of the source's commits.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { z } from 'zod'
import { fit } from '../../batch/convert.ts'
import type { ReadRequest } from '../../contract/read.ts'
import { FerryError } from '../../errors.ts'
import { KeptForm } from '../../kept.ts'
import { requireKnown } from '../changes/drift.ts'
import { TableLog } from '../changes/log.ts'
import type { LogPosition } from '../changes/logtable.ts'
import { type PostgresColumn, type PostgresTable, qualified } from './catalog.ts'
import { quoteName } from './client.ts'
import { formatLsn, type LogHandler, type LogRelation, type Lsn, PgOutput, parseLsn, type Tuple } from './pgoutput.ts'
import { connectForReplication, createSlot, type Slot, SlotStream, type StreamHandler } from './replication.ts'
import type { PostgresSettings } from './settings.ts'
import { RowOfTuple } from './tuples.ts'
import { toLogical } from './types.ts'

/** What a request knows of the log, as JSON in its `log`. */
const logPlan = z.object({
  slot: z.string(),
  /** Source names of the columns that identify rows. */
  keys: z.array(z.string()),
  /** Where changes begin: unknown until the slot is made. */
  from: z.string().exactOptional(),
  /** Whether a snapshot is read first. */
  load: z.boolean(),
  /** Where a copy that ends by itself ends. */
  until: z.string().exactOptional(),
})
export type LogPlan = z.output<typeof logPlan>
export const logPlans = new KeptForm('plan of a PostgreSQL log', logPlan)

/** What is saved between copies. */
const logMark = z.object({
  slot: z.string(),
  lsn: z.string(),
  /** The table that was read: its own number, and its columns with theirs. Undefined of former versions. */
  table: z
    .object({
      oid: z.number(),
      columns: z.array(
        z.tuple([z.number().describe('place'), z.string().describe('name'), z.string().describe('native')]),
      ),
    })
    .exactOptional(),
})
export type LogMark = z.output<typeof logMark>
export const logMarks = new KeptForm('place in a PostgreSQL log', logMark)

export function tableMark({ oid, columns }: PostgresTable): LogMark['table'] {
  return { oid, columns: columns.map(c => [c.place ?? 0, c.name, c.native]) }
}

/** A change of the table that the log does not contain, and that makes rows unreadable; undefined if there is none. */
export function tableFault({ table: was }: LogMark, now: PostgresTable): FerryError | undefined {
  if (!was) return undefined
  const gone = (why: string) => new FerryError('FERRY-5010', `${now.object} ${why}: the log does not tell of that`)
  if (was.oid !== now.oid) return gone('is another table than the last copy read, made anew or renamed')
  for (const [place, name, native] of was.columns) {
    const column = now.columns.find(c => c.name === name)
    if (!column) continue
    if (column.place !== place) return gone(`has another column ${name}, made anew or renamed`)
    const kept = column.native === native || ['same', 'wider'].includes(fit(toLogical(native), column.type))
    if (!kept) return gone(`has its column ${name} changed from ${native} to ${column.native}`)
  }
  return undefined
}

export function newSlotName(): string {
  return `ferry_${Date.now().toString(36)}_${randomBytes(4).toString('hex')}`
}

export const formatPosition = ({ at, seq }: LogPosition<Lsn>) => (seq === 0 ? formatLsn(at) : `${formatLsn(at)}+${seq}`)

export function parsePosition(text: string): LogPosition<Lsn> {
  const [lsn, seq = '0'] = text.split('+')
  return { at: parseLsn(lsn!), seq: Number(seq) }
}

/** How long the server may take to see that a connection has ended. */
const DROP_MS = 10_000

/** Why the slot cannot be resumed from a position; undefined if it can. */
export async function slotFault(client: pg.Client, name: string, from: Lsn): Promise<FerryError | undefined> {
  const { rows } = await client.query(
    `SELECT wal_status, confirmed_flush_lsn::text AS confirmed, to_jsonb(s) ->> 'invalidation_reason' AS reason
     FROM pg_replication_slots s WHERE slot_name = $1`,
    [name],
  )
  const slot = rows[0]
  const gone = (why: string) => new FerryError('FERRY-5010', `the replication slot ${name} ${why}`)
  if (!slot) return gone('is gone')
  if (slot.wal_status === 'lost') return gone(`was given up by the server${slot.reason ? ` (${slot.reason})` : ''}`)
  if (slot.confirmed !== null && parseLsn(slot.confirmed) > from) {
    return gone(
      `is at ${slot.confirmed}, beyond ${formatLsn(from)} where the last copy ended: somebody else read from it`,
    )
  }
  return undefined
}

export async function slotExists(client: pg.Client, name: string): Promise<boolean> {
  const { rows } = await client.query('SELECT 1 FROM pg_replication_slots WHERE slot_name = $1', [name])
  return rows.length > 0
}

/** Makes the publication hold these tables, before their changes are wanted. */
export async function publish(
  client: pg.Client,
  name: string,
  tables: { schema: string; table: string }[],
  { generated, going }: { generated: boolean; going: { schema: string; table: string }[] },
): Promise<void> {
  const gone = (table: string) =>
    new FerryError('FERRY-5010', `${table} is no longer in the publication ${name}: its changes are not in the log`)
  const list = tables.map(qualified).join(', ')
  const published = await client.query('SELECT 1 FROM pg_publication WHERE pubname = $1', [name])
  if (published.rows.length === 0) {
    if (going[0]) throw gone(qualified(going[0]))
    const more = generated ? ', publish_generated_columns = stored' : ''
    const options = `WITH (publish_via_partition_root = true${more})`
    await client.query(`CREATE PUBLICATION ${quoteName(name)} FOR TABLE ${list} ${options}`)
    return
  }
  if (generated) await client.query(`ALTER PUBLICATION ${quoteName(name)} SET (publish_generated_columns = stored)`)
  const { rows } = await client.query(
    `SELECT n.nspname AS schema, c.relname AS table FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
     JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = $1`,
    [name],
  )
  const before = new Set(rows.map(qualified))
  const lost = going.find(t => !before.has(qualified(t)))
  if (lost) throw gone(qualified(lost))
  const isSame = before.size === tables.length && tables.every(t => before.has(qualified(t)))
  if (!isSame) await client.query(`ALTER PUBLICATION ${quoteName(name)} SET TABLE ${list}`)
}

/** Makes the slot; where it is there, a temporary one that only gives a snapshot. The connection holds the snapshot. */
export async function snapshotWithSlot(
  settings: PostgresSettings,
  name: string,
  isThere: boolean,
): Promise<{ slot: Slot; client: pg.Client }> {
  const client = await connectForReplication(settings)
  try {
    const slot = await createSlot(client, isThere ? `${name.slice(0, 50)}_s${process.pid}` : name, isThere)
    return { slot, client }
  } catch (error) {
    await client.end().catch(() => undefined)
    throw error
  }
}

/** Removes slot and publication, as soon as the server has noticed that its reader is gone. */
export async function dropLog(client: pg.Client, name: string): Promise<void> {
  const end = Date.now() + DROP_MS
  for (;;) {
    const { rows } = await client.query('SELECT active FROM pg_replication_slots WHERE slot_name = $1', [name])
    if (rows.length === 0) break
    if (!rows[0].active || Date.now() > end) {
      await client.query('SELECT pg_drop_replication_slot($1)', [name])
      break
    }
    await sleep(50)
  }
  await client.query(`DROP PUBLICATION IF EXISTS ${quoteName(name)}`)
}

/** A table as the copy was planned with it. */
export interface FollowedTable {
  columns: PostgresColumn[]
  drift: ReadRequest['drift']
}

/** What the server sends, for the tables that follow it. */
class PostgresMessages implements LogHandler, StreamHandler {
  private readonly log: TableLog<Lsn>
  private readonly relations = new Map<number, RowOfTuple>()
  private readonly parser = new PgOutput(this)
  private readonly followed: Map<string, FollowedTable>

  constructor(log: TableLog<Lsn>, followed: Map<string, FollowedTable>) {
    this.log = log
    this.followed = followed
  }

  message(buffer: Buffer, at: number): boolean {
    try {
      this.parser.take(buffer, at)
    } catch (error) {
      this.failed(error instanceof FerryError ? error : new FerryError('FERRY-9000', String(error), { cause: error }))
      return false
    }
    return this.log.mayGoOn
  }

  caughtUp(walEnd: Lsn): void {
    this.log.caughtUp(walEnd)
  }

  failed(error: FerryError): void {
    this.log.failed(error)
  }

  begin(lsn: Lsn, time: number): void {
    this.log.begin(lsn, time)
  }

  commit(end: Lsn): void {
    this.log.commit(end)
  }

  relation(relation: LogRelation): void {
    const name = `${relation.schema}.${relation.table}`
    const table = this.log.table(name)
    const followed = this.followed.get(name)
    if (!table || !followed) return
    try {
      const names = relation.columns.map(c => c.name)
      // Changes before the position that the table is resumed from are known.
      if (this.log.at !== undefined && this.log.at >= table.from.at)
        requireKnown(name, names, followed.columns, followed.drift)
      this.relations.set(relation.id, new RowOfTuple(table, relation))
    } catch (error) {
      table.stop(error as FerryError)
    }
  }

  /** The reader of a relation's rows, where its table wants this change. */
  private wanted(id: number): RowOfTuple | undefined {
    const reader = this.relations.get(id)
    return reader && this.log.wants(reader.table) ? reader : undefined
  }

  insert(id: number, row: Tuple): void {
    this.wanted(id)?.insert(row)
  }

  update(id: number, old: Tuple | undefined, whole: boolean, row: Tuple): void {
    this.wanted(id)?.update(old, whole, row)
  }

  delete(id: number, old: Tuple): void {
    this.wanted(id)?.delete(old)
  }

  truncate(ids: number[]): void {
    for (const id of ids) this.wanted(id)?.truncate()
  }
}

/** The log of a slot, for the tables of a run. */
export function slotLog(
  settings: PostgresSettings,
  slot: string,
  followed: Map<string, FollowedTable>,
  { kept, end, loaded }: { kept: Lsn[]; end: () => Promise<Lsn>; loaded: () => Promise<void> },
): TableLog<Lsn> {
  return new TableLog(
    {
      compare: (a, b) => a - b,
      distance: (from, to) => to - from,
      format: formatPosition,
      parse: parsePosition,
      end,
      loaded,
      open: async (from, log) => {
        const client = await connectForReplication(settings)
        return new SlotStream(client, slot, slot, from, new PostgresMessages(log, followed))
      },
    },
    kept,
  )
}
