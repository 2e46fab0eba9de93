import type pg from 'pg'
import { ofProbe, probes, whereAll } from '../../batch/usersql.ts'
import type { ChangeFeed } from '../../contract/changefeed.ts'
import type { Increment, ReadRequest, Since } from '../../contract/read.ts'
import type { SourceSession, SourceTable } from '../../contract/source.ts'
import { FerryError } from '../../errors.ts'
import { LogFeed, requireOnce } from '../changes/feed.ts'
import type { TableLog } from '../changes/log.ts'
import { growingColumn, narrowed, type WatermarkQueries, watermark } from '../watermark.ts'
import { describeQuery, describeTable, type PostgresColumn, type PostgresTable, qualified } from './catalog.ts'
import { connect, queryOne, quoteName, quoteText, translate } from './client.ts'
import {
  type FollowedTable,
  type LogPlan,
  logMarks,
  logPlans,
  newSlotName,
  parsePosition,
  publish,
  slotExists,
  slotFault,
  slotLog,
  snapshotWithSlot,
  tableFault,
  tableMark,
} from './log.ts'
import { formatLsn, type Lsn, parseLsn } from './pgoutput.ts'
import { ConnectionPool } from './pool.ts'
import { explained } from './replication.ts'
import { publishesGenerated, requireLog, requireTold } from './requirements.ts'
import type { PostgresSettings } from './settings.ts'
import { columnsRead, PostgresSourceTable, relationOf } from './table.ts'

/** The system column with the transaction that wrote a row. */
const ROW_VERSION = 'xmin'
const HALF_OF_VERSIONS = 2n ** 31n

function requireVersions(request: ReadRequest, table: PostgresTable, since: Since): void {
  const refuse = (why: string, hint: string) => new FerryError('FERRY-3012', `${table.object}: ${why}`, { hint })
  if (request.query !== undefined || !['r', 'p'].includes(table.kind)) {
    throw refuse('only rows of tables have versions', 'Name a column that grows with every change.')
  }
  if (!since.again) throw refuse('rows come again by their versions: append would double them', 'Set update: merge.')
  if (since.overlap) throw refuse('versions miss nothing that commits late', 'Leave overlap out.')
}

/** Reads in one exported snapshot: every connection sees the database as of the run's start. */
export class PostgresSource implements SourceSession {
  private readonly settings: PostgresSettings
  private readonly leader: pg.Client
  private readonly describer: Promise<pg.Client>
  readonly pool: ConnectionPool
  private snapshot: string
  private slot: string | undefined
  private log: TableLog<Lsn> | undefined
  /** As the plan knows them, by the objects of their requests. */
  private readonly tables = new Map<string, PostgresTable>()
  private readsTables = false

  private constructor(settings: PostgresSettings, leader: pg.Client, describer: Promise<pg.Client>, snapshot: string) {
    this.settings = settings
    this.leader = leader
    this.describer = describer
    this.snapshot = snapshot
    this.pool = new ConnectionPool(settings, { reads: true, prepare: client => this.enter(client, this.snapshot) })
  }

  private async enter(client: pg.Client, snapshot: string): Promise<void> {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    await client.query(`SET TRANSACTION SNAPSHOT ${quoteText(snapshot)}`)
  }

  static async open(settings: PostgresSettings): Promise<PostgresSource> {
    // Both at once: each connection costs the server a process.
    const describer = connect(settings, { reads: true })
    describer.catch(() => undefined)
    try {
      const leader = await connect(settings, { reads: true })
      await leader.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
      const { rows } = await leader.query('SELECT pg_export_snapshot() AS snapshot')
      return new PostgresSource(settings, leader, describer, rows[0].snapshot)
    } catch (error) {
      await (await describer.catch(() => undefined))?.end().catch(() => undefined)
      throw error
    }
  }

  async table(request: ReadRequest): Promise<SourceTable> {
    // A table that goes by a column is read whenever its turn comes.
    if (request.log === undefined) this.readsTables = true
    const table = await this.describe(request)
    this.tables.set(request.object, table)
    return new PostgresSourceTable(this.pool, request, table)
  }

  /** Throws where filter or query are none, are more than one statement, or have a parameter, which nothing fills. */
  private async refuseWords(request: ReadRequest, table: PostgresTable): Promise<void> {
    const client = await this.describer
    for (const probe of probes(relationOf(request, table), request)) {
      await queryOne(client, `EXPLAIN ${probe.sql}`).catch(error => {
        // The server misses the value of a parameter.
        const hasParameter = error.code === '08P01'
        const why = `${table.object}: the ${probe.setting === 'where' ? 'filter' : 'query'} has a parameter, which nothing fills`
        throw ofProbe(hasParameter ? new FerryError('FERRY-3016', why) : translate(error, table.object), probe)
      })
    }
  }

  private async describe(request: ReadRequest): Promise<PostgresTable> {
    // Describing uses the catalog as it is now; a query is described outside the snapshot's read-only transaction.
    const client = await this.describer
    const table =
      request.query === undefined
        ? await describeTable(client, request.object, this.settings.schema)
        : await describeQuery(client, request.query)
    if (!table) throw new FerryError('FERRY-3001', `there is no table ${request.object}`)
    await this.refuseWords(request, table)
    return table
  }

  async increment(request: ReadRequest, since: Since): Promise<Increment> {
    const table = await this.describe(request)
    if (since.cdc) return this.logIncrement(request, table, since)
    if (since.column === ROW_VERSION && !table.columns.some(c => c.name === ROW_VERSION)) {
      return this.versionIncrement(request, table, since)
    }
    const column = growingColumn(table, since.column!) as PostgresColumn
    const name = quoteName(column.name)
    const filter = (condition: string) => `${relationOf(request, table)}${whereAll(condition, request.where)}`
    const ask = async (sql: string) => (await this.ask(sql, table)).answer as string | null
    const queries: WatermarkQueries = {
      name,
      literal: text => `${quoteText(text)}::${column.native}`,
      highest: condition => {
        // Servers before 18 know no highest value of bytes, whose digits have the same order.
        const isBinary = column.type.kind === 'binary'
        const highest = isBinary ? `'\\x' || max(encode(${name}, 'hex') COLLATE "C")` : `max(${name})::text`
        return ask(`SELECT ${highest} AS answer FROM ${filter(condition)}`)
      },
      count: async condition => Number(await ask(`SELECT count(*) AS answer FROM ${filter(condition)}`)),
    }
    const { condition, ...found } = await watermark(queries, column, since)
    return { ...found, read: narrowed(request, condition) }
  }

  /** One row from the snapshot. */
  private async ask(sql: string, { object }: PostgresTable): Promise<Record<string, unknown>> {
    const client = await this.pool.take()
    try {
      return (await client.query(sql)).rows[0]
    } catch (error) {
      throw translate(error, object)
    } finally {
      this.pool.release(client)
    }
  }

  /**
   * Rows by the transaction that wrote them: no column is needed, and none that commits late is missed, since a copy
   * begins where the oldest transaction was that the last one did not see the end of.
   */
  private async versionIncrement(request: ReadRequest, table: PostgresTable, since: Since): Promise<Increment> {
    requireVersions(request, table, since)
    const snapshot = await this.ask(
      'SELECT pg_snapshot_xmin(s)::text AS oldest, pg_snapshot_xmax(s)::text AS next FROM pg_current_snapshot() AS s',
      table,
    )
    const [oldest, next] = [BigInt(snapshot.oldest as string), BigInt(snapshot.next as string)]
    const position = String(oldest)
    const from = since.after === undefined ? undefined : BigInt(since.after)
    // Transactions have numbers of 32 bits that come again: nothing can be known of one so long ago.
    if (from === undefined || next - from >= HALF_OF_VERSIONS) {
      const why = from === undefined ? '' : ': the last copy was too many transactions ago'
      return { read: request, position, isEmpty: false, range: `everything${why}`, notes: [] }
    }
    const latest = next + HALF_OF_VERSIONS
    const condition = `${latest} - ((${latest} - ${ROW_VERSION}::text::bigint) & ${2n * HALF_OF_VERSIONS - 1n}) >= ${from}`
    const read = narrowed(request, condition)
    const found =
      next === from
        ? { answer: false }
        : await this.ask(`SELECT EXISTS (SELECT 1 FROM ${qualified(table)} WHERE ${read.where}) AS answer`, table)
    const isEmpty = found.answer === false
    const range = isEmpty ? `nothing since transaction ${from}` : `rows written since transaction ${from}`
    return { read, position, isEmpty, range, notes: [] }
  }

  /** The changes of the log since the last copy; without an earlier copy, a snapshot comes first. */
  private async logIncrement(request: ReadRequest, table: PostgresTable, since: Since): Promise<Increment> {
    const client = await this.describer
    await requireLog(client, request, table, since.keys)
    const publishes = await publishesGenerated(client)
    const mark = since.after === undefined ? undefined : logMarks.find(since.after)
    if (mark) {
      const fault = (await slotFault(client, mark.slot, parsePosition(mark.lsn).at)) ?? tableFault(mark, table)
      if (fault) throw fault
    }
    requireTold(request, table, publishes)
    const others = since.others.flatMap(position => logMarks.find(position)?.slot ?? [])
    this.slot ??= mark?.slot ?? others[0] ?? newSlotName()
    const load = mark === undefined
    const plan: LogPlan = { slot: this.slot, keys: since.keys, load, ...(mark ? { from: mark.lsn } : {}) }
    const log = `the publication and the replication slot ${this.slot}`
    return {
      read: { ...request, log: logPlans.write(plan) },
      position: logMarks.write({ slot: this.slot, lsn: '0/0' }),
      isEmpty: false,
      range: mark ? `every change since ${mark.lsn}` : 'a snapshot, then every change',
      notes: load && others.length === 0 ? [`the source gets ${log}, which keep its log until it is copied`] : [],
    }
  }

  async follow(requests: ReadRequest[], kept: { object: string; position: string }[]): Promise<ChangeFeed[]> {
    const plans = requests.map(r => logPlans.read(r.log!))
    const tables = requests.map(r => this.tables.get(r.object)!)
    requireOnce(tables.map(t => t.object))
    const client = await this.describer
    const { slot } = plans[0]!
    const marks = kept.flatMap(({ object, position }) => {
      const mark = logMarks.find(position)
      return mark?.slot === slot ? [{ object, lsn: parsePosition(mark.lsn).at }] : []
    })
    const isThere = await slotExists(client, slot)
    if (!isThere && plans.some(p => p.from !== undefined)) {
      throw new FerryError('FERRY-5010', `the replication slot ${slot} is gone`)
    }
    const others = marks.filter(m => !tables.some(t => t.object === m.object))
    const unread = await Promise.all(others.map(m => describeTable(client, m.object, this.settings.schema)))
    let places: { plan: LogPlan; from: string; until: Lsn | undefined }[]
    try {
      const all = [...tables, ...unread.filter(t => t !== undefined)]
      const going = tables.filter((_, i) => plans[i]!.from !== undefined)
      await publish(client, slot, all, { generated: await publishesGenerated(client), going })
      const made = plans.some(p => p.load) || !isThere ? await this.enterSlot(slot, isThere) : undefined
      const now = await this.serverLsn()
      places = requests.map(({ online }, i) => {
        const from = plans[i]!.from ?? formatLsn(made!)
        const until = online ? undefined : Math.max(now, made ?? 0)
        const plan = { ...plans[i]!, from, ...(until === undefined ? {} : { until: formatLsn(until) }) }
        return { plan, from, until }
      })
    } catch (error) {
      throw error instanceof FerryError ? error : explained(error as Error)
    }
    const followed = new Map<string, FollowedTable>()
    const log = slotLog(this.settings, slot, followed, {
      kept: others.map(m => m.lsn),
      end: () => this.serverLsn(),
      loaded: () => this.leaveSnapshot(),
    })
    this.log = log
    return requests.map((request, i) => {
      const table = tables[i]!
      const { plan, from, until } = places[i]!
      const name = `${table.schema}.${table.table}`
      followed.set(name, { columns: table.columns, drift: request.drift })
      const logged = log.add(name, columnsRead(request, table), parsePosition(from), until)
      const mark = tableMark(table)
      return new LogFeed(log, logged, {
        request: { ...request, log: logPlans.write(plan) },
        snapshot: plan.load,
        begin: from,
        end: () => this.serverLsn(),
        position: at => logMarks.write({ slot, lsn: formatLsn(at), ...(mark ? { table: mark } : {}) }),
        explain: error => translate(error, table.object),
      })
    })
  }

  /** Reads in the snapshot of a slot: what is committed later is in the log after it. */
  private async enterSlot(name: string, isThere: boolean): Promise<Lsn> {
    const { slot, client } = await snapshotWithSlot(this.settings, name, isThere)
    try {
      await this.pool.reset()
      await this.leader.query('COMMIT')
      await this.enter(this.leader, slot.snapshot)
      const { rows } = await this.leader.query('SELECT pg_export_snapshot() AS snapshot')
      this.snapshot = rows[0].snapshot
      return slot.lsn
    } finally {
      await client.end().catch(() => undefined)
    }
  }

  /**
   * Ends the snapshot where only the log is read from here on: as long as it is open the source cannot alter its tables,
   * nor clean them up.
   */
  private async leaveSnapshot(): Promise<void> {
    if (this.readsTables) return
    await this.pool.reset()
    await this.leader.query('COMMIT')
  }

  async serverLsn(): Promise<Lsn> {
    const { rows } = await (await this.describer).query('SELECT pg_current_wal_flush_lsn()::text AS lsn')
    return parseLsn(rows[0].lsn)
  }

  async close(): Promise<void> {
    this.log?.close()
    await this.pool.close()
    const describer = await this.describer.catch(() => undefined)
    await describer?.end().catch(() => undefined)
    await this.leader.end().catch(() => undefined)
  }
}
