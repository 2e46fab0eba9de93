import type pg from 'pg'
import { z } from 'zod'
import { type Batch, type CsvDialect, FERRY_CSV } from '../../batch/encoding.ts'
import { formatText } from '../../batch/text.ts'
import type { Column, Row } from '../../batch/types.ts'
import { ofProbe, probes, subquery, whereAll } from '../../batch/usersql.ts'
import type { ChangeFeed } from '../../contract/changefeed.ts'
import type { Offer } from '../../contract/encodings.ts'
import type { Increment, ReadOptions, ReadRequest, Since } from '../../contract/read.ts'
import type { MappedColumn } from '../../contract/schema.ts'
import type { ChecksumTarget, SourceSession, SourceTable, StoreChecksums } from '../../contract/source.ts'
import type { Split } from '../../contract/split.ts'
import { FerryError } from '../../errors.ts'
import { KeptForm } from '../../kept.ts'
import { LogFeed, requireOnce } from '../changes/feed.ts'
import type { TableLog } from '../changes/log.ts'
import { growingColumn, narrowed, type WatermarkQueries, watermark } from '../watermark.ts'
import { BinaryReader } from './binaryread.ts'
import { describeQuery, describeTable, type PostgresColumn, type PostgresTable, qualified } from './catalog.ts'
import { PostgresChecksums } from './checksums.ts'
import { connect, queryOne, quoteName, quoteText, translate } from './client.ts'
import { copyOut } from './copyout.ts'
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
import { isKnown } from './types.ts'
import { isFramed, refusesWire, wireExpression } from './wire.ts'

/** Reading in one exported snapshot: whatever connection reads, it sees the database as of the run's start. */
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
    return new PostgresSourceTable(this, request, table)
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

  /** What the log tells since the last copy; where there was none, a snapshot comes first. */
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

const piece = z.object({
  /** The relation to read when it is not the table itself: a partition. */
  relation: z.object({ schema: z.string(), table: z.string() }).exactOptional(),
  /** A condition that bounds the split. */
  condition: z.string().exactOptional(),
})
type Piece = z.output<typeof piece>
const keptPieces = new KeptForm('split of a PostgreSQL table', piece)

class PostgresSourceTable implements SourceTable {
  readonly rowColumns: Column[]
  private readonly session: PostgresSource
  private readonly request: ReadRequest
  private readonly table: PostgresTable
  private readonly columns: Map<string, PostgresColumn>
  /** How the splits were cut: `page` splits hold only while no row moves. */
  private cutByPage = false

  constructor(session: PostgresSource, request: ReadRequest, table: PostgresTable) {
    this.session = session
    this.request = request
    this.table = table
    this.columns = new Map(table.columns.map(c => [c.name, c]))
    this.rowColumns = columnsRead(request, table)
  }

  get follows(): boolean {
    return this.request.log !== undefined
  }

  refuses(offer: Offer): string | undefined {
    const { columns } = this.request
    switch (offer.encoding) {
      case 'rows':
        return undefined
      case 'pg-copy-binary':
      case 'pg-copy-text':
        for (const [i, column] of columns.entries()) {
          const reason = refusesWire(column, this.source(column), offer.wire[i]!, offer.encoding)
          if (reason) return reason
        }
        return undefined
      case 'csv':
        for (const [i, column] of columns.entries()) {
          if (column.checked) return `${column.name}: each value must be checked`
          const type = offer.types[i]!
          if (['list', 'struct', 'map'].includes(type.kind)) return `${column.name} is nested`
          const reason = refusesWire(column, this.source(column), offer.wire?.[i] ?? 'as is', 'pg-copy-text')
          if (reason) return reason
        }
        return undefined
      default:
        return 'PostgreSQL does not give it'
    }
  }

  csvDialect(): CsvDialect {
    return FERRY_CSV
  }

  private source(column: MappedColumn): PostgresColumn | undefined {
    return column.from === undefined ? undefined : this.columns.get(column.from)
  }

  async fingerprint(): Promise<string | undefined> {
    if (!this.cutByPage) return undefined
    const client = await this.session.pool.take()
    try {
      const { rows } = await client.query(
        `SELECT pg_relation_filenode(oid) || ':' || pg_relation_size(oid) || ':' || pg_stat_get_tuples_updated(oid)
           || ':' || pg_stat_get_tuples_deleted(oid) || ':' || pg_stat_get_tuples_inserted(oid) AS print
         FROM pg_class WHERE oid = $1`,
        [this.table.oid],
      )
      return rows[0]?.print
    } finally {
      this.session.pool.release(client)
    }
  }

  async splits(offer: Offer): Promise<Split[]> {
    const { request, table } = this
    const whole: Piece[] = [{}]
    const divisible = request.limit === undefined && request.query === undefined
    const pieces =
      !divisible || offer.encoding === 'duckdb-sql'
        ? whole
        : table.kind === 'p'
          ? await this.partitions()
          : table.kind === 'r' || table.kind === 'm'
            ? await this.ranges(table, table.bytes ?? 0)
            : whole
    return pieces.map((piece, id) => ({
      id,
      label: piece.condition ?? (piece.relation ? piece.relation.table : 'all'),
      spec: keptPieces.write(piece),
      ...(table.rows === undefined ? {} : { rows: Math.round(table.rows / pieces.length) }),
      ...(table.bytes === undefined ? {} : { bytes: Math.round(table.bytes / pieces.length) }),
    }))
  }

  private async partitions(): Promise<Piece[]> {
    return this.withClient(async client => {
      const { rows } = await client.query(
        `SELECT n.nspname AS schema, c.relname AS table FROM pg_partition_tree($1) p
         JOIN pg_class c ON c.oid = p.relid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE p.isleaf AND c.relkind IN ('r', 'f') ORDER BY 1, 2`,
        [this.table.oid],
      )
      return rows.length === 0 ? [{}] : rows.map(relation => ({ relation }))
    })
  }

  /**
   * Key ranges where the primary key's order is about the order of the pages: they hold in a later snapshot, too, as
   * rows do not change their key. Else page ranges, which read in physical order but hold in one snapshot only.
   */
  private async ranges(table: PostgresTable, bytes: number): Promise<Piece[]> {
    const count = Math.min(4096, Math.round(bytes / this.request.splitBytes))
    if (count < 2) return [{}]
    const key = table.primaryKey[0]
    return this.withClient(async client => {
      // The log has rows that move between pages; those that are read from a later snapshot must not be missed.
      if (key !== undefined && (this.follows || (await this.followsPages(client, key)))) {
        const bounds = await this.keyBounds(client, key, count)
        if (bounds.length > 0) return between(quoteName(key), bounds)
      }
      this.cutByPage = true
      const pages = bytes / 8192
      const cuts = Array.from({ length: count - 1 }, (_, i) => Math.round((pages * (i + 1)) / count))
      return between(
        'ctid',
        cuts.map(page => `'(${page},0)'::tid`),
      )
    })
  }

  private async followsPages(client: pg.Client, key: string): Promise<boolean> {
    const { rows } = await client.query(
      'SELECT correlation FROM pg_stats WHERE schemaname = $1 AND tablename = $2 AND attname = $3',
      [this.table.schema, this.table.table, key],
    )
    // Without statistics a key is taken to follow the pages, as those from sequences do.
    return rows.length === 0 || rows[0].correlation === null || Math.abs(rows[0].correlation) > 0.8
  }

  private async keyBounds(client: pg.Client, key: string, count: number): Promise<string[]> {
    const estimate = this.table.rows ?? (this.table.bytes ?? 0) / 100
    const percent = Math.min(100, (100 * count * 300) / Math.max(1, estimate))
    const fractions = Array.from({ length: count - 1 }, (_, i) => (i + 1) / count)
    const { rows } = await client.query(
      `SELECT percentile_disc($1::float8[]) WITHIN GROUP (ORDER BY ${quoteName(key)})::text[] AS bounds
       FROM ${qualified(this.table)} TABLESAMPLE SYSTEM (${percent.toFixed(4)}) REPEATABLE (1)`,
      [fractions],
    )
    const native = this.columns.get(key)!.native
    const bounds: (string | null)[] = rows[0].bounds ?? []
    const distinct = [...new Set(bounds.filter(b => b !== null))]
    return distinct.map(bound => `${quoteText(bound)}::${native}`)
  }

  private async withClient<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = await this.session.pool.take()
    try {
      return await work(client)
    } catch (error) {
      throw translate(error, this.table.object)
    } finally {
      this.session.pool.release(client)
    }
  }

  /** The table and the keys of a row that is read in part. */
  private placeOf(row: Row): string {
    const keys = this.rowColumns.flatMap(({ name, type }, i) => {
      const value = row[i]
      return this.table.primaryKey.includes(name) && value != null ? [`, ${name} ${formatText(value, type)}`] : []
    })
    return `${this.table.object}${keys.join('')}`
  }

  async *read(split: Split, { offer, signal }: ReadOptions): AsyncIterable<Batch> {
    const client = await this.session.pool.take()
    const stop = () => this.session.pool.drop(client)
    signal.addEventListener('abort', stop, { once: true })
    let finished = false
    try {
      const stream = copyOut(client, this.statement(keptPieces.read(split.spec), offer), isFramed(offer))
      if (offer.encoding === 'rows') {
        const reader = new BinaryReader(
          this.rowColumns.map(c => wireNative(c as PostgresColumn)),
          this.rowColumns.map(c => c.name),
          row => this.placeOf(row),
        )
        for await (const chunk of stream) {
          const rows = reader.push(chunk as Buffer)
          const bytes = (chunk as Buffer).length
          // The values are copies: memory stays flat by reading into the same few buffers.
          stream.recycle(chunk as Buffer)
          yield { kind: 'rows', rows, bytes }
        }
      } else {
        for await (const chunk of stream) {
          const data = chunk as Buffer
          yield { kind: 'bytes', data, bytes: data.length, release: () => stream.recycle(data) }
        }
        // How many rows passed is known at the end only.
        yield { kind: 'bytes', data: Buffer.alloc(0), rows: stream.rowCount, bytes: 0 }
      }
      finished = true
    } catch (error) {
      throw translate(error, this.table.object)
    } finally {
      signal.removeEventListener('abort', stop)
      if (finished) this.session.pool.release(client)
      else this.session.pool.drop(client)
    }
  }

  checksums({ columns, keys, buckets }: ChecksumTarget): StoreChecksums | undefined {
    const { request } = this
    const wires = columns.map(c => (c.native ?? '').replace(/\(.*\)/, ''))
    if (wires.includes('')) return undefined
    if (request.columns.some((c, i) => refusesWire(c, this.source(c), wires[i]!, 'pg-copy-text'))) return undefined
    const list = request.columns.map((c, i) => wireExpression(c, this.source(c), wires[i]!, 'pg-copy-text'))
    const limit = request.limit === undefined ? '' : ` LIMIT ${request.limit}`
    return new PostgresChecksums({
      withClient: work => this.withClient(work),
      list,
      keys: keys.length > 0 ? keys.map(i => list[i]!) : list,
      from: `${relationOf(request, this.table)}${whereAll(request.where)}${limit}`,
      buckets,
    })
  }

  private statement(piece: Piece, offer: Offer): string {
    const { request } = this
    const expressions =
      offer.encoding === 'rows'
        ? this.rowColumns.map(c => rowExpression(c as PostgresColumn))
        : request.columns.map((column, i) => {
            const wire = 'wire' in offer ? (offer.wire?.[i] ?? 'as is') : 'as is'
            return wireExpression(column, this.source(column), wire, offer.encoding)
          })
    const from = relationOf(request, piece.relation ?? this.table)
    const where = whereAll(piece.condition, request.where)
    const limit = request.limit === undefined ? '' : ` LIMIT ${request.limit}`
    // A table without columns to read still has rows: COPY needs one expression.
    const list = expressions.length > 0 ? expressions.join(', ') : 'NULL::int4'
    return `COPY (SELECT ${list} FROM ${from}${where}${limit}) TO STDOUT ${copyOptions(offer)}`
  }
}

/** The columns of the table that a request reads, in the order that it names them first. */
function columnsRead({ columns }: ReadRequest, table: PostgresTable): PostgresColumn[] {
  const names = [...new Set(columns.flatMap(c => (c.from === undefined ? [] : [c.from])))]
  return names.map(name => table.columns.find(c => c.name === name)!)
}

/** What is read, as a relation of a statement. */
function relationOf({ query }: ReadRequest, table: { schema: string; table: string }): string {
  return query === undefined ? qualified(table) : `${subquery(query)} AS q`
}

function copyOptions(offer: Offer): string {
  if (offer.encoding === 'csv') return `(FORMAT csv)`
  return offer.encoding === 'pg-copy-text' ? '(FORMAT text)' : '(FORMAT binary)'
}

function between(expression: string, bounds: string[]): Piece[] {
  const pieces: Piece[] = []
  for (let i = 0; i <= bounds.length; i++) {
    const parts: string[] = []
    if (i > 0) parts.push(`${expression} >= ${bounds[i - 1]}`)
    if (i < bounds.length) parts.push(`${expression} < ${bounds[i]}`)
    pieces.push({ condition: parts.join(' AND ') })
  }
  return pieces
}

/** In the rows encoding a type that has no binary decoder here travels as the text its output function gives. */
function rowExpression(column: PostgresColumn): string {
  return isKnown(column.base) ? quoteName(column.name) : `format('%s', ${quoteName(column.name)})`
}

function wireNative(column: PostgresColumn): string {
  return isKnown(column.base) ? column.base : 'text'
}
