/**
 * Slowly changing dimensions of type 2: a table keeps every version of a row, with the time that it was valid. A version
 * is known by its keys and its beginning, so that one that comes again changes nothing, and one that comes late is put
 * between the others.
 */
import type { RowBatch } from '../../batch/encoding.ts'
import { type Row, utf8, type Value } from '../../batch/types.ts'
import type { WriterWork } from '../../contract/sink.ts'
import { type ChangeTable, chosen, former, MASK, type StagedColumn } from './changetable.ts'
import { type ChangeTarget, GatheringWriter } from './gathering.ts'
import { looseKeys, matchKeys, requireOwnKeys } from './loosekeys.ts'

/** What happened to one row. */
interface Event {
  kind: 'version' | 'end' | 'clear'
  row: Row
  unchanged: readonly number[]
  before: Row | undefined
}

export class HistoryWriter extends GatheringWriter {
  private readonly keys: number[]
  private readonly fromAt: number
  /** Events in rounds: in each a key comes once, so that a round is applied as a set. */
  private rounds: Event[][] = []
  private touched = new Set<string>()

  constructor(target: ChangeTarget, part: number, work: WriterWork) {
    super(target, part, work)
    const { columns, history } = target.request
    const place = (name: string) => columns.findIndex(c => c.name === name)
    this.keys = history!.keys.map(place)
    this.fromAt = place(history!.from)
  }

  protected gather({ rows, changes, unchanged, before, times }: RowBatch): void {
    for (const [i, row] of rows.entries()) {
      const change = changes?.[i] ?? 'replace'
      const time = times?.[i] === undefined ? undefined : this.timeOf(times[i])
      const at = (some: Row): Row => (time === undefined ? some : some.with(this.fromAt, time))
      if (change === 'clear') this.add({ kind: 'clear', row: [this.now(time)], unchanged: [], before: undefined })
      else if (change === 'delete') this.add({ kind: 'end', row: at(row), unchanged: [], before: undefined })
      else {
        const was = before?.[i]
        const moved = was !== undefined && this.keyOf(was) !== this.keyOf(row)
        // The values that stay are read from the former version before that ends.
        this.add({ kind: 'version', row: at(row), unchanged: unchanged?.[i] ?? [], before: moved ? was : undefined })
        if (moved) this.add({ kind: 'end', row: at(was), unchanged: [], before: undefined })
      }
    }
  }

  private add(event: Event): void {
    const keys =
      event.kind === 'clear' ? [] : [event.row, ...(event.before ? [event.before] : [])].map(r => this.keyOf(r))
    const last = this.rounds.at(-1)
    const first = last?.[0]?.kind
    // Versions that are begun and ended within one moment leave nothing, whatever their order.
    if (!last || event.kind === 'clear' || first === 'clear' || keys.some(key => this.touched.has(key))) {
      this.rounds.push([event])
      this.touched = new Set(keys)
      return
    }
    last.push(event)
    for (const key of keys) this.touched.add(key)
  }

  private keyOf(row: Row): string {
    return JSON.stringify(this.keys.map(at => String(row[at])))
  }

  /** Microseconds since 1970 as the column of beginnings holds them. */
  private timeOf(micros: number): Value {
    const { type } = this.target.request.columns[this.fromAt]!
    return type.kind === 'timestamp' && type.unit === 'ms' ? Math.floor(micros / 1000) : micros
  }

  private now(time: Value | undefined): Value {
    return time ?? this.timeOf(Date.now() * 1000)
  }

  protected async apply(table: ChangeTable): Promise<void> {
    const keeps = this.target.request.follows?.deletes === 'ignore'
    for (const round of this.rounds) {
      const of = (kind: Event['kind']) => round.filter(e => e.kind === kind)
      if (of('clear').length > 0 && !keeps) await this.endAll(table, of('clear')[0]!.row[0]!)
      if (of('version').length > 0) await this.begin(table, of('version'))
      if (of('end').length > 0 && !keeps) await this.end(table, of('end'))
    }
    this.rounds = []
    this.touched.clear()
  }

  private names(table: ChangeTable) {
    const { from, to, current } = this.target.request.history!
    return { from: table.quote(from), to: table.quote(to), current: table.quote(current) }
  }

  private match(table: ChangeTable, was = false): string {
    const { request } = this.target
    return matchKeys(request.history!.keys, looseKeys(request), table, was ? { theirs: former } : {})
  }

  /** New versions: each ends the one that was valid at its beginning, and ends where the next one begins. */
  private async begin(table: ChangeTable, events: Event[]): Promise<void> {
    const { quote, dialect, live } = table
    const { from, to, current } = this.names(table)
    const stage = await this.stageVersions(table, events)
    const versions = { name: stage, as: 's' } as const
    const there = { name: live, as: 't' } as const
    const match = this.match(table)
    const columns = this.columnNames
    if (events.some(e => e.unchanged.length > 0)) {
      const where = `s.${MASK} LIKE '%1%'`
      const was = `${this.match(table, true)} AND t.${current} = ${TRUE}`
      await this.requireThere(table, stage, was, where)
      const set = columns.flatMap((name, i) =>
        this.keys.includes(i) || this.isOwn(name) ? [] : [{ column: quote(name), value: chosen(quote(name), i) }],
      )
      await table.run(dialect.update(versions, set, there, `${was} AND ${where}`))
    }
    // A row that is as it was makes no version.
    const data = columns.filter((name, i) => !this.keys.includes(i) && !this.isOwn(name)).map(quote)
    const same = [match, `t.${current} = ${TRUE}`, ...data.map(c => dialect.same(`t.${c}`, `s.${c}`))].join(' AND ')
    await table.run(dialect.remove(versions, there, same))
    const begins = `s.${from}`
    await table.run(
      `UPDATE ${stage} AS s SET ${to} = (SELECT min(CASE WHEN t.${from} > ${begins} THEN t.${from} ELSE t.${to} END) FROM ${live} AS t
        WHERE ${match} AND (t.${from} > ${begins} OR (t.${from} < ${begins} AND t.${to} > ${begins})))`,
    )
    await table.run(`UPDATE ${stage} SET ${current} = CASE WHEN ${to} IS NULL THEN ${TRUE} ELSE ${FALSE} END`)
    const covers = `t.${from} < s.${from} AND (t.${to} IS NULL OR t.${to} > s.${from})`
    await this.close(table, stage, covers)
    const rows = { live, stage, columns, keys: this.target.request.keys, where: '1 = 1' }
    for (const statement of dialect.upsert(rows)) await table.run(statement)
    await requireOwnKeys(table, this.target.request, stage)
  }

  /** Ends the versions that are valid at a moment; those that began then were never valid. */
  private async end(table: ChangeTable, events: Event[]): Promise<void> {
    const { from, to } = this.names(table)
    const { keys } = this.target.request.history!
    const names = [...keys.map(table.quote), from]
    const columns = [...this.keys.map(at => table.columns[at]!), table.columns[this.fromAt]!]
    const rows = events.map(
      ({ row }): Row => [...this.keys.map(at => row[at]!), this.now(row[this.fromAt] ?? undefined)],
    )
    const stage = await table.stage('ends', columns, `SELECT ${names.join(', ')} FROM ${table.live}`, rows)
    const begun = `${this.match(table)} AND t.${from} = s.${from}`
    await table.run(table.dialect.remove({ name: table.live, as: 't' }, { name: stage, as: 's' }, begun))
    await this.close(table, stage, `t.${from} < s.${from} AND (t.${to} IS NULL OR t.${to} > s.${from})`)
  }

  private async close(table: ChangeTable, stage: string, where: string): Promise<void> {
    const { from, to, current } = this.names(table)
    const set = [
      { column: to, value: `s.${from}` },
      { column: current, value: FALSE },
    ]
    const match = `${this.match(table)} AND ${where}`
    await table.run(table.dialect.update({ name: table.live, as: 't' }, set, { name: stage, as: 's' }, match))
  }

  private async endAll(table: ChangeTable, at: Value): Promise<void> {
    const { from, to, current } = this.names(table)
    const column = table.columns[this.fromAt]!
    const stage = await table.stage('clear', [column], `SELECT ${from} FROM ${table.live}`, [[at]])
    await table.run(
      `UPDATE ${table.live} SET ${to} = (SELECT ${from} FROM ${stage}), ${current} = ${FALSE} WHERE ${current} = ${TRUE}`,
    )
  }

  private isOwn(name: string): boolean {
    const { from, to, current } = this.target.request.history!
    return [from, to, current, ...this.target.request.history!.apart].includes(name)
  }

  private stageVersions(table: ChangeTable, events: Event[]): Promise<string> {
    const { quote, columns } = table
    const { keys } = this.target.request.history!
    const was = keys.map(k => `${quote(k)} AS ${quote(former(k))}`)
    const list = [...this.columnNames.map(quote), ...was, `'' AS ${MASK}`]
    const all: StagedColumn[] = [
      ...columns,
      ...this.keys.map(at => ({ ...columns[at]!, name: former(columns[at]!.name) })),
      { name: MASK, type: utf8 },
    ]
    const rows = events.map(({ row, unchanged, before }): Row => {
      const mask = columns.map((_, i) => (unchanged.includes(i) ? '1' : '0')).join('')
      return [...row, ...this.keys.map(at => (before ?? row)[at]!), mask]
    })
    return table.stage('versions', all, `SELECT ${list.join(', ')} FROM ${table.live}`, rows)
  }
}

const TRUE = 'true'
const FALSE = 'false'
