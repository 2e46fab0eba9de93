/** The change feed of a table whose store has one log for all of its tables. */
import type { Batch } from '../../batch/encoding.ts'
import type { ChangeFeed } from '../../contract/changefeed.ts'
import type { ReadOptions, ReadRequest } from '../../contract/read.ts'
import { FerryError } from '../../errors.ts'
import type { TableLog } from './log.ts'
import type { LogTable } from './logtable.ts'

interface Followed<P> {
  request: ReadRequest
  snapshot: boolean
  /** The place that the changes begin behind, as text. */
  begin: string
  /** The place where the source's log ends now. */
  end(): Promise<P>
  /** The position that the next copy starts from, given the place that this one has read up to. */
  position(at: P): string
  explain(error: unknown): FerryError
}

/** Throws FERRY-3009 if a table is named twice: each change of it is given once. */
export function requireOnce(tables: string[]): void {
  const twice = tables.find((name, i) => tables.indexOf(name) !== i)
  if (twice === undefined) return
  throw new FerryError('FERRY-3009', `${twice}: two tables of a job cannot both follow the log of one`, {
    hint: 'Copy one of them with a job of its own.',
  })
}

export class LogFeed<P> implements ChangeFeed {
  readonly request: ReadRequest
  readonly snapshot: boolean
  private readonly log: TableLog<P>
  private readonly table: LogTable<P>
  private readonly followed: Followed<P>

  constructor(log: TableLog<P>, table: LogTable<P>, followed: Followed<P>) {
    this.log = log
    this.table = table
    this.followed = followed
    this.request = followed.request
    this.snapshot = followed.snapshot
  }

  async *read({ from, signal, complete }: Omit<ReadOptions, 'offer'>): AsyncGenerator<Batch> {
    const { log, table, followed } = this
    const end = async () => log.endAt(await followed.end())
    const onComplete = () => void end().catch(error => log.failed(followed.explain(error)))
    try {
      await log.attach(table, log.source.parse(from ?? followed.begin), signal)
      if (this.request.online !== undefined) {
        if (complete?.aborted) await end()
        else complete?.addEventListener('abort', onComplete, { once: true })
      }
      for (;;) {
        const batch = await table.next(signal)
        if (!batch) return
        yield batch
      }
    } catch (error) {
      throw followed.explain(error)
    } finally {
      complete?.removeEventListener('abort', onComplete)
    }
  }

  confirm(checkpoint: string): void {
    this.log.confirm(this.table, this.log.source.parse(checkpoint).at)
  }

  position(): string {
    return this.followed.position(this.table.until ?? this.table.from.at)
  }

  stop(): void {
    this.log.leave(this.table)
  }
}
