/** Checksums of rows, computed by the server over the columns' text. */
import type pg from 'pg'
import type { StoreChecksums } from '../../contract/source.ts'

interface Request {
  withClient: <T>(work: (client: pg.Client) => Promise<T>) => Promise<T>
  /** SQL expressions of all columns, and of the keys among them. */
  list: string[]
  keys: string[]
  /** The relation and its filter: the text after `FROM`. */
  from: string
  buckets: number
}

export class PostgresChecksums implements StoreChecksums {
  readonly by = 'postgres'
  private readonly request: Request

  constructor(request: Request) {
    this.request = request
  }

  /** Bucket, key and text of every row. */
  private get rows(): string {
    const { list, keys, from, buckets } = this.request
    const row = (items: string[]) => `ROW(${items.join(', ')})::text COLLATE "C"`
    const key = `array_to_string(ARRAY[${keys.map(k => `(${k})::text`).join(', ')}], ', ', 'null')`
    const bucket = `(hashtextextended(${row(keys)}, 7) & ${buckets - 1})::int`
    return `(SELECT ${bucket} AS bucket, ${key} AS key, ${row(list)} AS text FROM ${from}) r`
  }

  async buckets(): Promise<Map<number, { rows: number; sum: string }>> {
    return this.request.withClient(async client => {
      const { rows } = await client.query(
        `SELECT bucket, count(*) AS n, sum(hashtextextended(text, 0)) || ':' || sum(hashtextextended(text, 1)) AS sum
         FROM ${this.rows} GROUP BY bucket`,
      )
      return new Map(rows.map(r => [r.bucket as number, { rows: Number(r.n), sum: r.sum as string }]))
    })
  }

  async *rowsIn(buckets: number[], most: number): AsyncGenerator<{ key: string; sum: string }> {
    const found = await this.request.withClient(client =>
      client.query(
        `SELECT key, hashtextextended(text, 0) || ':' || hashtextextended(text, 1) AS sum FROM ${this.rows}
         WHERE bucket = ANY ($1) LIMIT ${most}`,
        [buckets],
      ),
    )
    yield* found.rows as { key: string; sum: string }[]
  }
}
