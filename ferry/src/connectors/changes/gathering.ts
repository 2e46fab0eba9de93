/** Writers of changes: what comes is gathered in memory, and written with the ledger's line when it is committed. */
import type { Batch, Checkpoint, RowBatch } from '../../batch/encoding.ts'
import { formatText } from '../../batch/text.ts'
import type { Row } from '../../batch/types.ts'
import type { CommitResult, Refused, SplitWriter, WriterWork } from '../../contract/sink.ts'
import type { WriteRequest } from '../../contract/write.ts'
import { FerryError, placed, RowError } from '../../errors.ts'
import type { Ledger, LedgerClient } from '../ledger.ts'
import type { ChangeTable } from './changetable.ts'

/** What the changes need to know of a sink table. */
export interface ChangeTarget {
  request: WriteRequest
  ledger: Ledger | undefined
  /** How far changes are applied by the ledger, as it was when the run began. */
  applied: Map<number, string | null>
  /** Makes the ledger's table where it is missing, and raises its fence. */
  ensureLedger(): Promise<void>
  /** Why the row's values cannot be written, as far as it is known without the server. */
  refuses?(row: Row): RowError | undefined
  /** Runs the work in a transaction. */
  transaction(work: (table: ChangeTable, client: Pick<LedgerClient, 'query'>) => Promise<void>): Promise<void>
}

/** What writes changes: gathered until they are committed, in one transaction with the ledger's line. */
export abstract class GatheringWriter implements SplitWriter {
  protected readonly target: ChangeTarget
  protected readonly replays: boolean
  private readonly part: number
  /** What the ledger said last. */
  private checkpoint: Checkpoint | null

  constructor(target: ChangeTarget, part: number, work: WriterWork) {
    this.target = target
    this.part = part
    this.replays = work.replays ?? true
    this.checkpoint = target.applied.get(part) ?? null
  }

  protected abstract gather(batch: RowBatch): void
  protected abstract apply(table: ChangeTable): Promise<void>

  async write(batch: Batch): Promise<Refused[]> {
    if (batch.kind !== 'rows') throw new FerryError('FERRY-9000', 'changes are rows')
    const { target } = this
    const refused = target.request.skipBadRows ? refusedOf(batch.rows, row => target.refuses?.(row)) : []
    this.gather(refused.length === 0 ? batch : without(batch, new Set(refused.map(r => r.index))))
    return refused
  }

  async commit(checkpoint: Checkpoint | undefined, counts: { rows: number; bytes: number }): Promise<CommitResult> {
    const { target, part } = this
    const { ledger } = target
    await target.ensureLedger()
    await target.transaction(async (table, client) => {
      await ledger?.claim(client, part, this.checkpoint)
      await this.apply(this.naming(table))
      if (ledger) await client.query(ledger.record(part, checkpoint, counts))
    })
    this.checkpoint = checkpoint ?? null
    return {}
  }

  /** The error of a row that cannot be staged names its key. */
  private naming(table: ChangeTable): ChangeTable {
    const { object, keys } = this.target.request
    return {
      ...table,
      stage: async (kind, columns, select, rows) => {
        try {
          return await table.stage(kind, columns, select, rows)
        } catch (error) {
          if (!(error instanceof RowError) || error.index === undefined) throw error
          const row = rows[error.index]!
          const parts = columns.flatMap(({ name, type }, i) =>
            keys.includes(name) ? [`, ${name} ${row[i] === null ? 'null' : formatText(row[i]!, type)}`] : [],
          )
          const message = `${object}${parts.join('')}: ${error.message}`
          throw placed(new RowError(error.code, message, error.column, { cause: error }))
        }
      },
    }
  }

  /** Values that the log does not repeat must exist at the destination. */
  protected async requireThere(table: ChangeTable, stage: string, match: string, where: string): Promise<void> {
    // What the snapshot has not seen any more is about to be deleted by a later change.
    if (this.replays) return
    const found = await table.first(
      `SELECT count(*) AS n FROM ${stage} AS s WHERE ${where} AND NOT EXISTS (SELECT 1 FROM ${table.live} AS t WHERE ${match})`,
    )
    const missing = Number(found!.n)
    if (missing === 0) return
    const what = 'that were changed at the source, which tells only the values that changed'
    throw new FerryError('FERRY-5007', `${this.target.request.object}: ${missing} rows are not there ${what}`)
  }

  protected get columnNames(): string[] {
    return this.target.request.columns.map(c => c.name)
  }

  async abort(): Promise<void> {}
}

function refusedOf(rows: Row[], refuses: (row: Row) => RowError | undefined): Refused[] {
  return rows.flatMap((row, index) => {
    const error = row.length === 0 ? undefined : refuses(row)
    return error ? [{ index, error }] : []
  })
}

/** A batch without some of its rows, and without their kinds of change. */
function without(batch: RowBatch, some: Set<number>): RowBatch {
  const rest = <T>(list: T[]) => list.filter((_, i) => !some.has(i))
  const { changes, unchanged, before, times } = batch
  return {
    ...batch,
    rows: rest(batch.rows),
    ...(changes ? { changes: rest(changes) } : {}),
    ...(unchanged ? { unchanged: rest(unchanged) } : {}),
    ...(before ? { before: rest(before) } : {}),
    ...(times ? { times: rest(times) } : {}),
  }
}
