/** Totals of a job's tables over all of its runs, including those that are deleted. */
import { type Kysely, sql } from 'kysely'
import type { Schema, TableTotalRow } from './schema.ts'

/** Adds a run that has ended to the totals of its tables. */
export async function addTotals(db: Kysely<Schema>, run: string): Promise<void> {
  const at = new Date().toISOString()
  await db
    .insertInto('table_total')
    .columns([
      'job',
      'source',
      'destination',
      'runs',
      'failures',
      'rows_read',
      'rows_copied',
      'rows_skipped',
      'bytes_read',
      'bytes_written',
      'last_run',
      'last_at',
    ])
    .expression(eb =>
      eb
        .selectFrom('run_table as t')
        .innerJoin('run as r', 'r.id', 't.run')
        .where('t.run', '=', run)
        // A job may name a table twice.
        .groupBy(['r.job', 't.source', 't.destination', 'r.id'])
        .select([
          'r.job',
          't.source',
          't.destination',
          sql<number>`1`.as('runs'),
          sql<number>`MAX(CASE WHEN t.state = 'completed' THEN 0 ELSE 1 END)`.as('failures'),
          sql<number>`SUM(t.rows_read)`.as('rows_read'),
          sql<number>`SUM(t.rows_copied)`.as('rows_copied'),
          sql<number>`SUM(t.rows_skipped)`.as('rows_skipped'),
          sql<number>`SUM(t.bytes_read)`.as('bytes_read'),
          sql<number>`SUM(t.bytes_written)`.as('bytes_written'),
          'r.id as last_run',
          sql<string>`${at}`.as('last_at'),
        ]),
    )
    .onConflict(c =>
      c.columns(['job', 'source', 'destination']).doUpdateSet(eb => ({
        runs: eb('table_total.runs', '+', eb.ref('excluded.runs')),
        failures: eb('table_total.failures', '+', eb.ref('excluded.failures')),
        rows_read: eb('table_total.rows_read', '+', eb.ref('excluded.rows_read')),
        rows_copied: eb('table_total.rows_copied', '+', eb.ref('excluded.rows_copied')),
        rows_skipped: eb('table_total.rows_skipped', '+', eb.ref('excluded.rows_skipped')),
        bytes_read: eb('table_total.bytes_read', '+', eb.ref('excluded.bytes_read')),
        bytes_written: eb('table_total.bytes_written', '+', eb.ref('excluded.bytes_written')),
        last_run: eb.ref('excluded.last_run'),
        last_at: eb.ref('excluded.last_at'),
      })),
    )
    .execute()
}

export async function totalsOf(db: Kysely<Schema>, job: string): Promise<TableTotalRow[]> {
  return db.selectFrom('table_total').selectAll().where('job', '=', job).orderBy('source').execute()
}
