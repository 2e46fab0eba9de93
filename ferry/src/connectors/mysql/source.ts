/** Reading tables: key ranges in parallel, all in one snapshot. */
import type { Batch, CsvDialect, Rejected } from '../../batch/encoding.ts'
import { FERRY_CSV } from '../../batch/encoding.ts'
import type { Column, Row } from '../../batch/types.ts'
import { ofProbe, probes, subquery, whereAll } from '../../batch/usersql.ts'
import type { ChangeFeed } from '../../contract/changefeed.ts'
import type { Offer } from '../../contract/encodings.ts'
import type { Increment, ReadOptions, ReadRequest, Since } from '../../contract/read.ts'
import type { SourceSession, SourceTable } from '../../contract/source.ts'
import type { Split } from '../../contract/split.ts'
import { FerryError, RowError } from '../../errors.ts'
import { LogFeed, requireOnce } from '../changes/feed.ts'
import type { TableLog } from '../changes/log.ts'
import { cutByGaps } from '../ranges.ts'
import { growingColumn, narrowed, type WatermarkQueries, watermark } from '../watermark.ts'
import type { Followed } from './binlog.ts'
import { describe, type MysqlColumn, type MysqlTable } from './catalog.ts'
import { type Connection, connect, cut, qualified, query, quoteName, quoteText, translate } from './client.ts'
import { CsvPackets } from './csv.ts'
import { RowDecoder } from './decode.ts'
import { csvExpression, isQuoted, refusesCsv, rowExpression } from './expressions.ts'
import {
  binaryLog,
  columnsFault,
  columnsMark,
  formatPosition,
  type LogPlan,
  logEnd,
  logFault,
  logMarks,
  logPlans,
  parsePosition,
  requireLog,
} from './log.ts'
import { type RowPacket, readPackets } from './packets.ts'
import type { MysqlSettings } from './settings.ts'
import { Snapshot } from './snapshot.ts'

/** Rows of a batch, about. */
const BATCH_BYTES = 1 << 17

export class MysqlSource implements SourceSession {
  readonly settings: MysqlSettings
  readonly snapshot: Snapshot
  private readonly leader: Connection
  private log: TableLog<number> | undefined
  /** As the plan knows them, by the objects of their requests. */
  private readonly tables = new Map<string, MysqlTable>()
  private readsTables = false

  private constructor(settings: MysqlSettings, leader: Connection) {
    this.settings = settings
    this.leader = leader
    this.snapshot = new Snapshot(settings)
  }

  static async open(settings: MysqlSettings): Promise<MysqlSource> {
    return new MysqlSource(settings, await connect(settings))
  }

  async table(request: ReadRequest): Promise<SourceTable> {
    // A table that goes by a column is read whenever its turn comes.
    if (request.log === undefined) this.readsTables = true
    const table = await this.describe(request)
    this.tables.set(request.object, table)
    return new MysqlSourceTable(this, request, table)
  }

  private async describe(request: ReadRequest): Promise<MysqlTable> {
    try {
      const table = await describe(this.leader, request, this.settings)
      if (!table) throw new FerryError('FERRY-3001', `there is no table ${request.object}`)
      for (const probe of probes(relationOf(request, table), request)) {
        await this.ask(`EXPLAIN ${probe.sql}`, table.object).catch(error => {
          throw ofProbe(error, probe)
        })
      }
      return table
    } catch (error) {
      throw translate(error, request.object)
    }
  }

  /** Asks outside the snapshot, for what only guides the reading. */
  async ask(sql: string, place: string): Promise<Record<string, unknown>[]> {
    return query(this.leader, sql).catch(error => {
      throw translate(error, place)
    })
  }

  async increment(request: ReadRequest, since: Since): Promise<Increment> {
    const table = await this.describe(request)
    if (since.cdc) return this.logIncrement(request, table, since)
    const column = growingColumn(table, since.column!)
    if (column.type.kind === 'float' && column.type.bits === 32) {
      throw new FerryError(
        'FERRY-3012',
        `${table.object}: ${column.name} is a FLOAT, which MySQL compares with no number exactly`,
        {
          hint: 'Name a DOUBLE, a DECIMAL, a whole number or a time.',
        },
      )
    }
    const name = quoteName(column.name)
    const ask = async (expression: string, condition: string) => {
      const where = whereAll(condition, request.where)
      const sql = `SELECT ${expression} AS answer FROM ${relationOf(request, table)}${where}`
      return (await this.ask(sql, table.object))[0]!.answer as string | null
    }
    const isBinary = column.type.kind === 'binary'
    const queries: WatermarkQueries = {
      name,
      literal: text => {
        if (isBinary) return `X'${text}'`
        // A number in quotes would be compared as a double.
        return ['int', 'decimal', 'float'].includes(column.type.kind) ? text : quoteText(text)
      },
      highest: condition => ask(isBinary ? `HEX(MAX(${name}))` : `CAST(MAX(${name}) AS CHAR)`, condition),
      count: async condition => Number(await ask('COUNT(*)', condition)),
    }
    const { condition, ...found } = await watermark(queries, column, since)
    return { ...found, read: narrowed(request, condition) }
  }

  /** The changes of the log since the last copy; without an earlier copy, a snapshot comes first. */
  private async logIncrement(request: ReadRequest, table: MysqlTable, { keys, after }: Since): Promise<Increment> {
    try {
      await requireLog(this.leader, request, table, keys)
      const mark = after === undefined ? undefined : logMarks.find(after)
      const fault = mark && ((await logFault(this.leader, mark)) ?? (await columnsFault(this.leader, mark, table)))
      if (fault) throw fault
      const { server, base } = await logEnd(this.leader)
      const plan: LogPlan = { keys, server, base, load: mark === undefined, ...(mark ? { from: mark.place } : {}) }
      return {
        read: { ...request, log: logPlans.write(plan) },
        position: logMarks.write({ server, base, place: '0:4' }),
        isEmpty: false,
        range: mark ? `every change since ${base}${mark.place}` : 'a snapshot, then every change',
        notes: [],
      }
    } catch (error) {
      throw translate(error, table.object)
    }
  }

  async follow(requests: ReadRequest[]): Promise<ChangeFeed[]> {
    requireOnce(requests.map(r => this.tables.get(r.object)!.object))
    const plans = requests.map(r => logPlans.read(r.log!))
    const made = plans.some(p => p.load) ? await this.snapshot.begin() : undefined
    const now = await logEnd(this.leader)
    const followed = new Map<string, Followed>()
    const log = binaryLog(
      this.settings,
      followed,
      () => logEnd(this.leader),
      // As long as the snapshot is open the source cannot alter its tables.
      async () => {
        if (!this.readsTables) await this.snapshot.close()
      },
    )
    this.log = log
    return requests.map((request, i) => {
      const table = this.tables.get(request.object)!
      const { server, base, load } = plans[i]!
      const from = plans[i]!.from ?? formatPosition({ at: made ?? now.at, seq: 0 })
      // An online copy has no end until it is completed.
      const until = request.online ? undefined : Math.max(now.at, made ?? 0)
      const end = until === undefined ? {} : { until: formatPosition({ at: until, seq: 0 }) }
      const name = `${table.database}.${table.table}`
      const logged = log.add(name, columnsRead(request, table), parsePosition(from), until)
      followed.set(name, { table: logged, columns: table.columns, drift: request.drift })
      return new LogFeed(log, logged, {
        request: { ...request, log: logPlans.write({ ...plans[i]!, from, ...end }) },
        snapshot: load,
        begin: from,
        end: () => this.logEnd(),
        position: at =>
          logMarks.write({ server, base, place: formatPosition({ at, seq: 0 }), columns: columnsMark(table) }),
        explain: error => translate(error, table.object),
      })
    })
  }

  async logEnd(): Promise<number> {
    return (await logEnd(this.leader)).at
  }

  async close(): Promise<void> {
    this.log?.close()
    await this.snapshot.close()
    cut(this.leader)
  }
}

function relationOf({ query }: ReadRequest, table: MysqlTable): string {
  return query === undefined ? qualified(table) : `${subquery(query)} AS q`
}

/** The columns of the table that a request reads, in the table's order. */
function columnsRead({ columns }: ReadRequest, table: MysqlTable): MysqlColumn[] {
  const names = new Set(columns.map(c => c.from))
  return table.columns.filter(c => names.has(c.name))
}

class MysqlSourceTable implements SourceTable {
  readonly rowColumns: Column[]
  private readonly session: MysqlSource
  private readonly request: ReadRequest
  private readonly table: MysqlTable
  private readonly columns: Map<string, MysqlColumn>

  constructor(session: MysqlSource, request: ReadRequest, table: MysqlTable) {
    this.session = session
    this.request = request
    this.table = table
    this.columns = new Map(table.columns.map(c => [c.name, c]))
    this.rowColumns = columnsRead(request, table)
  }

  get follows(): boolean {
    return this.request.log !== undefined
  }

  private source(name: string | undefined): MysqlColumn | undefined {
    return name === undefined ? undefined : this.columns.get(name)
  }

  refuses(offer: Offer): string | undefined {
    if (offer.encoding === 'rows') return undefined
    if (offer.encoding !== 'csv') return 'MySQL does not give it'
    for (const column of this.request.columns) {
      const reason = refusesCsv(column, this.source(column.from), offer)
      if (reason !== undefined) return reason
    }
    return this.request.columns.length === 0 ? 'there are no columns' : undefined
  }

  csvDialect(): CsvDialect {
    return FERRY_CSV
  }

  /** Splits are key ranges, or one for the whole table: they hold in a later snapshot, too. */
  async fingerprint(): Promise<string | undefined> {
    return undefined
  }

  async splits(): Promise<Split[]> {
    const { request, table } = this
    const { rows, bytes = 0 } = table
    const divisible = request.limit === undefined && request.query === undefined && !table.isView
    const count = Math.min(4096, Math.round(bytes / request.splitBytes))
    const key = table.primaryKey[0]
    const cuts = divisible && key !== undefined && count > 1 ? await this.cuts(key, count) : []
    const share = (n: number | undefined) => (n === undefined ? undefined : Math.round(n / (cuts.length + 1)))
    return Array.from({ length: cuts.length + 1 }, (_, id) => {
      const low = id === 0 ? [] : [`${quoteName(key!)} >= ${cuts[id - 1]}`]
      const high = id === cuts.length ? [] : [`${quoteName(key!)} < ${cuts[id]}`]
      const spec = [...low, ...high].join(' AND ')
      return { id, label: spec === '' ? 'all' : spec, spec, rows: share(rows), bytes: share(bytes) } as Split
    })
  }

  /** Keys that cut the table into about equal parts, found by walking along the key's index. */
  private async cuts(key: string, count: number): Promise<string[]> {
    const name = quoteName(key)
    const from = qualified(this.table)
    const { object } = this.table
    const column = this.columns.get(key)!
    if (column.type.kind === 'int') {
      const [ends] = await this.session.ask(`SELECT MIN(${name}) AS low, MAX(${name}) AS high FROM ${from}`, object)
      if (ends!.low === null) return []
      const seek = async (at: bigint) => {
        const sql = `SELECT (SELECT MAX(${name}) FROM ${from} WHERE ${name} < ${at}) AS below, (SELECT MIN(${name}) FROM ${from} WHERE ${name} >= ${at}) AS above`
        const [found] = await this.session.ask(sql, object)
        return { below: BigInt(String(found!.below)), above: BigInt(String(found!.above)) }
      }
      const whole = { low: BigInt(String(ends!.low)), high: BigInt(String(ends!.high)) }
      const ranges = await cutByGaps(whole, { most: count, least: 1n }, seek)
      return ranges.slice(1).map(r => String(r.low))
    }
    const [{ n } = { n: 0 }] = await this.session.ask(`SELECT COUNT(*) AS n FROM ${from}`, object)
    const step = Math.max(1, Math.floor(Number(n) / count))
    const literal = (text: string) => (column.type.kind === 'binary' ? `X'${text}'` : quoteText(text))
    const value = column.type.kind === 'binary' ? `HEX(${name})` : `CAST(${name} AS CHAR)`
    const cuts: string[] = []
    for (let i = 1; i < count; i++) {
      const beyond = cuts.length === 0 ? '' : ` WHERE ${name} > ${cuts.at(-1)}`
      const sql = `SELECT ${value} AS k FROM ${from}${beyond} ORDER BY ${name} LIMIT 1 OFFSET ${step}`
      const [found] = await this.session.ask(sql, object)
      if (!found) break
      cuts.push(literal(String(found.k)))
    }
    return cuts
  }

  async *read(split: Split, { offer, signal }: ReadOptions): AsyncIterable<Batch> {
    const connection = await this.session.snapshot.take(signal)
    const stop = () => cut(connection)
    signal.addEventListener('abort', stop, { once: true })
    let finished = false
    try {
      if (offer.encoding === 'csv') yield* this.readCsv(connection, split)
      else yield* this.readRows(connection, split)
      finished = true
    } catch (error) {
      throw translate(error, this.table.object)
    } finally {
      signal.removeEventListener('abort', stop)
      if (finished) this.session.snapshot.release(connection)
      else this.session.snapshot.drop(connection)
    }
  }

  private async *readCsv(connection: Connection, split: Split): AsyncGenerator<Batch> {
    const { request, session } = this
    const list = request.columns.map(c => csvExpression(c, this.source(c.from), session.settings))
    const packets = new CsvPackets(request.columns.map(c => isQuoted(c, this.source(c.from))))
    for await (const data of readPackets(connection, this.statement(list, split), packets)) {
      yield { kind: 'bytes', data, bytes: data.length, release: () => packets.recycle(data) }
    }
    yield { kind: 'bytes', data: Buffer.alloc(0), rows: packets.rows, bytes: 0 }
  }

  private async *readRows(connection: Connection, split: Split): AsyncGenerator<Batch> {
    const list = this.rowColumns.map(c => rowExpression(c as MysqlColumn))
    const rows = new RowBatches(this.rowColumns, this.table, this.session.settings, this.request.skipBadRows)
    // A table without columns to read still has rows.
    yield* readPackets(connection, this.statement(list.length > 0 ? list : ['1'], split), rows)
  }

  private statement(list: string[], split: Split): string {
    const { request } = this
    const where = whereAll(split.spec, request.where)
    const limit = request.limit === undefined ? '' : ` LIMIT ${request.limit}`
    return `SELECT ${list.join(', ')} FROM ${relationOf(request, this.table)}${where}${limit}`
  }
}

/** Rows gathered into batches; those that cannot be read are refused by their key. */
class RowBatches {
  private readonly decoder: RowDecoder
  private readonly table: MysqlTable
  private readonly skip: boolean
  private rows: Row[] = []
  private rejected: Rejected[] = []
  private bytes = 0

  constructor(columns: Column[], table: MysqlTable, settings: MysqlSettings, skip: boolean) {
    this.decoder = new RowDecoder(columns, settings)
    this.table = table
    this.skip = skip
  }

  take(packet: RowPacket): Batch | undefined {
    try {
      this.rows.push(this.decoder.row(packet))
    } catch (error) {
      if (!(error instanceof RowError)) throw error
      this.refuse(packet, error)
    }
    this.bytes += packet.end - packet.offset
    return this.bytes > BATCH_BYTES ? this.rest() : undefined
  }

  rest(): Batch | undefined {
    const { rows, rejected, bytes } = this
    if (rows.length + rejected.length === 0) return undefined
    this.rows = []
    this.rejected = []
    this.bytes = 0
    return { kind: 'rows', rows, bytes, ...(rejected.length > 0 ? { rejected } : {}) }
  }

  private refuse(packet: RowPacket, error: RowError): void {
    const values = this.decoder.texts(packet)
    const place = this.table.primaryKey.map(key => `${key} ${values[key]}`).join(', ')
    const where = `${error.column === undefined ? '' : `, column ${error.column}`}${place === '' ? '' : `, ${place}`}`
    const reason = `${this.table.object}${where}: ${error.message}`
    if (!this.skip) throw new RowError(error.code, reason, error.column, { hint: error.hint })
    this.rejected.push({ place, reason, values, column: error.column })
  }
}
