/**
 * The schema's steps, in order, never changed once released. Each runs on SQLite and on PostgreSQL.
 *
 * One file: a list that is read from its beginning to its end.
 */
import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import type { Schema } from './schema.ts'
import { isSqlite } from './time.ts'

export const MIGRATIONS: Record<string, Migration> = {
  '0001_jobs_and_runs': {
    async up(db: Kysely<unknown>) {
      await db.schema
        .createTable('job')
        .addColumn('name', 'text', c => c.primaryKey())
        .addColumn('definition', 'text', c => c.notNull())
        .addColumn('created_at', 'text', c => c.notNull())
        .addColumn('updated_at', 'text', c => c.notNull())
        .execute()
      await db.schema
        .createTable('run')
        .addColumn('id', 'text', c => c.primaryKey())
        .addColumn('job', 'text', c => c.notNull())
        .addColumn('definition', 'text', c => c.notNull())
        .addColumn('state', 'text', c => c.notNull())
        .addColumn('wish', 'text')
        .addColumn('epoch', 'integer', c => c.notNull())
        .addColumn('owner_host', 'text')
        .addColumn('owner_pid', 'integer')
        .addColumn('owner_started', 'text')
        .addColumn('heartbeat_at', 'bigint')
        .addColumn('created_at', 'text', c => c.notNull())
        .addColumn('started_at', 'text')
        .addColumn('ended_at', 'text')
        .addColumn('error', 'text')
        .execute()
      await db.schema.createIndex('run_by_job').on('run').columns(['job', 'created_at']).execute()
      await db.schema
        .createTable('run_table')
        .addColumn('run', 'text', c => c.notNull())
        .addColumn('ordinal', 'integer', c => c.notNull())
        .addColumn('source', 'text', c => c.notNull())
        .addColumn('destination', 'text', c => c.notNull())
        .addColumn('state', 'text', c => c.notNull())
        .addColumn('plan', 'text', c => c.notNull())
        .addColumn('rows_read', 'bigint', c => c.notNull().defaultTo(0))
        .addColumn('rows_copied', 'bigint', c => c.notNull().defaultTo(0))
        .addColumn('rows_skipped', 'bigint', c => c.notNull().defaultTo(0))
        .addColumn('bytes_read', 'bigint', c => c.notNull().defaultTo(0))
        .addColumn('bytes_written', 'bigint', c => c.notNull().defaultTo(0))
        .addColumn('started_at', 'text')
        .addColumn('ended_at', 'text')
        .addColumn('error', 'text')
        .addPrimaryKeyConstraint('run_table_key', ['run', 'ordinal'])
        .execute()
      await db.schema
        .createTable('split')
        .addColumn('run', 'text', c => c.notNull())
        .addColumn('ordinal', 'integer', c => c.notNull())
        .addColumn('id', 'integer', c => c.notNull())
        .addColumn('label', 'text', c => c.notNull())
        .addColumn('spec', 'text', c => c.notNull())
        .addColumn('rows', 'bigint')
        .addColumn('bytes', 'bigint')
        .addColumn('done', 'integer', c => c.notNull().defaultTo(0))
        .addColumn('checkpoint', 'text')
        .addColumn('rows_done', 'bigint', c => c.notNull().defaultTo(0))
        .addColumn('bytes_done', 'bigint', c => c.notNull().defaultTo(0))
        .addPrimaryKeyConstraint('split_key', ['run', 'ordinal', 'id'])
        .execute()
    },
  },
  '0002_connections': {
    async up(db: Kysely<unknown>) {
      await db.schema
        .createTable('connection')
        .addColumn('name', 'text', c => c.primaryKey())
        .addColumn('kind', 'text', c => c.notNull())
        .addColumn('settings', 'text', c => c.notNull())
        .addColumn('created_at', 'text', c => c.notNull())
        .execute()
    },
  },
  '0003_online': {
    async up(db: Kysely<unknown>) {
      await db.schema
        .createTable('queue')
        .addColumn('name', 'text', c => c.primaryKey())
        .execute()
      await db.schema.alterTable('run').addColumn('queue', 'text').execute()
      await db.schema.alterTable('run').addColumn('waiting', 'text').execute()
      await db.schema.createIndex('run_by_queue').on('run').columns(['queue', 'created_at']).execute()
      await db.schema.alterTable('split').addColumn('behind', 'bigint').execute()
      await db.schema.alterTable('split').addColumn('behind_since', 'bigint').execute()
      await db.schema.alterTable('run_table').addColumn('total_rows', 'bigint').execute()
    },
  },
  '0004_positions': {
    async up(db: Kysely<unknown>) {
      await db.schema
        .createTable('position')
        .addColumn('job', 'text', c => c.notNull())
        .addColumn('source', 'text', c => c.notNull())
        .addColumn('destination', 'text', c => c.notNull())
        .addColumn('tracked', 'text', c => c.notNull())
        .addColumn('value', 'text', c => c.notNull())
        .addColumn('run', 'text', c => c.notNull())
        .addColumn('updated_at', 'text', c => c.notNull())
        .addPrimaryKeyConstraint('position_key', ['job', 'source', 'destination'])
        .execute()
    },
  },
  '0005_server': {
    async up(db: Kysely<unknown>) {
      const run = (name: string, type: 'text' | 'bigint' | 'integer', more: 'null' | 'zero' = 'zero') =>
        db.schema
          .alterTable('run')
          .addColumn(name, type, c => (more === 'null' ? c : c.notNull().defaultTo(0)))
          .execute()
      await db.schema
        .alterTable('run')
        .addColumn('invoked_by', 'text', c => c.notNull().defaultTo('manual'))
        .execute()
      await run('asked', 'text', 'null')
      await run('changed_at', 'bigint')
      for (const sum of ['rows_read', 'rows_copied', 'rows_skipped', 'bytes_read', 'bytes_written'])
        await run(sum, 'bigint')
      for (const count of ['tables', 'tables_done']) await run(count, 'integer')
      await run('samples', 'text', 'null')
      await db.schema.createIndex('run_by_change').on('run').column('changed_at').execute()
      await db.schema.createIndex('run_by_state').on('run').columns(['state', 'id']).execute()
      await db.schema.createIndex('run_of_job').on('run').columns(['job', 'id']).execute()
      await db.schema.alterTable('run_table').addColumn('encoding', 'text').execute()
      await db.schema
        .createTable('table_total')
        .addColumn('job', 'text', c => c.notNull())
        .addColumn('source', 'text', c => c.notNull())
        .addColumn('destination', 'text', c => c.notNull())
        .addColumn('runs', 'bigint', c => c.notNull())
        .addColumn('failures', 'bigint', c => c.notNull())
        .addColumn('rows_read', 'bigint', c => c.notNull())
        .addColumn('rows_copied', 'bigint', c => c.notNull())
        .addColumn('rows_skipped', 'bigint', c => c.notNull())
        .addColumn('bytes_read', 'bigint', c => c.notNull())
        .addColumn('bytes_written', 'bigint', c => c.notNull())
        .addColumn('last_run', 'text', c => c.notNull())
        .addColumn('last_at', 'text', c => c.notNull())
        .addPrimaryKeyConstraint('table_total_key', ['job', 'source', 'destination'])
        .execute()
      await db.schema
        .createTable('firing')
        .addColumn('job', 'text', c => c.notNull())
        .addColumn('name', 'text', c => c.notNull())
        .addColumn('print', 'text', c => c.notNull())
        .addColumn('at', 'bigint', c => c.notNull())
        .addColumn('outcome', 'text')
        .addColumn('outcome_at', 'text')
        .addPrimaryKeyConstraint('firing_key', ['job', 'name'])
        .execute()
      await db.schema
        .createTable('arrival')
        .addColumn('job', 'text', c => c.notNull())
        .addColumn('name', 'text', c => c.notNull())
        .addColumn('path', 'text', c => c.notNull())
        .addColumn('print', 'text', c => c.notNull())
        .addColumn('since', 'bigint', c => c.notNull())
        .addColumn('fired', 'integer', c => c.notNull())
        .addPrimaryKeyConstraint('arrival_key', ['job', 'name', 'path'])
        .execute()
      await db.schema
        .createTable('secret')
        .addColumn('name', 'text', c => c.primaryKey())
        .addColumn('sealed', 'text', c => c.notNull())
        .addColumn('updated_at', 'text', c => c.notNull())
        .execute()
      await db.schema
        .createTable('token')
        .addColumn('id', 'text', c => c.primaryKey())
        .addColumn('name', 'text', c => c.notNull().unique())
        .addColumn('role', 'text', c => c.notNull())
        .addColumn('hash', 'text', c => c.notNull().unique())
        .addColumn('created_at', 'text', c => c.notNull())
        .addColumn('last_used_at', 'text')
        .execute()
      await db.schema
        .createTable('session')
        .addColumn('hash', 'text', c => c.primaryKey())
        .addColumn('token', 'text', c => c.notNull())
        .addColumn('expires_at', 'bigint', c => c.notNull())
        .execute()
      await db.schema
        .createTable('audit')
        // Milliseconds since 1970 and a number within the millisecond: grows with time.
        .addColumn('id', 'bigint', c => c.primaryKey())
        .addColumn('at', 'text', c => c.notNull())
        .addColumn('who', 'text', c => c.notNull())
        .addColumn('role', 'text', c => c.notNull())
        .addColumn('address', 'text', c => c.notNull())
        .addColumn('action', 'text', c => c.notNull())
        .addColumn('object', 'text', c => c.notNull())
        .addColumn('outcome', 'text', c => c.notNull())
        .execute()
    },
  },
  '0006_fences': {
    async up(db: Kysely<unknown>) {
      await db.schema.alterTable('run').addColumn('taken_at', 'bigint').execute()
      await db.schema
        .alterTable('run')
        .addColumn('deaths', 'integer', c => c.notNull().defaultTo(0))
        .execute()
      await db.schema
        .alterTable('run')
        .addColumn('mode', 'text', c => c.notNull().defaultTo('full'))
        .execute()
      const mode = isSqlite(db as Kysely<Schema>)
        ? sql`json_extract(definition, '$.mode')`
        : sql`(definition::json ->> 'mode')`
      await sql`UPDATE run SET mode = COALESCE(${mode}, 'full')`.execute(db)
    },
  },
  '0007_idle': {
    async up(db: Kysely<unknown>) {
      await db.schema
        .alterTable('session')
        .addColumn('used_at', 'bigint', c => c.notNull().defaultTo(0))
        .execute()
      // Who is signed in while this is brought up to date signs in again.
      await sql`DELETE FROM session`.execute(db)
    },
  },
  '0008_attempts': {
    async up(db: Kysely<unknown>) {
      await db.schema
        .createTable('attempt')
        .addColumn('run', 'text', c => c.notNull())
        .addColumn('epoch', 'integer', c => c.notNull())
        .addColumn('host', 'text', c => c.notNull())
        .addColumn('started_at', 'text', c => c.notNull())
        .addColumn('ended_at', 'text')
        .addColumn('outcome', 'text')
        .addColumn('error', 'text')
        .addPrimaryKeyConstraint('attempt_key', ['run', 'epoch'])
        .execute()
      for (const [name, type] of [
        ['worked_ms', 'bigint'],
        ['given_up', 'integer'],
      ] as const) {
        await db.schema
          .alterTable('run')
          .addColumn(name, type, c => c.notNull().defaultTo(0))
          .execute()
      }
      await db.schema
        .alterTable('job')
        .addColumn('one_off', 'integer', c => c.notNull().defaultTo(0))
        .execute()
      // The names that such copies have had always.
      const jobs = await (db as Kysely<Schema>).selectFrom('job').select('name').execute()
      for (const { name } of jobs.filter(j => /^copy-[0-9a-f]{12}$/.test(j.name))) {
        await sql`UPDATE job SET one_off = 1 WHERE name = ${name}`.execute(db)
      }
      // Of runs of older versions only their first start and their last end are known.
      const worked = isSqlite(db as Kysely<Schema>)
        ? sql`CAST((julianday(ended_at) - julianday(started_at)) * 86400000 AS INTEGER)`
        : sql`(extract(epoch FROM ended_at::timestamptz - started_at::timestamptz) * 1000)::bigint`
      await sql`UPDATE run SET worked_ms = ${worked} WHERE started_at IS NOT NULL AND ended_at > started_at`.execute(db)
    },
  },
  '0009_feed': {
    async up(db: Kysely<unknown>) {
      // Feeds had the number of the millionth range before.
      await sql`UPDATE split SET id = -1 WHERE id = 1000000`.execute(db)
    },
  },
  '0010_skipped': {
    async up(db: Kysely<unknown>) {
      await db.schema
        .createTable('skipped')
        .addColumn('run', 'text', c => c.notNull())
        .addColumn('ordinal', 'integer', c => c.notNull())
        .addColumn('split', 'integer', c => c.notNull())
        .addColumn('mark', 'text', c => c.notNull())
        .addColumn('seq', 'integer', c => c.notNull())
        .addColumn('line', 'text', c => c.notNull())
        .addPrimaryKeyConstraint('skipped_key', ['run', 'ordinal', 'split', 'mark', 'seq'])
        .execute()
    },
  },
  '0011_pipelines': {
    async up(db: Kysely<unknown>) {
      await db.schema
        .createTable('pipeline_run')
        .addColumn('id', 'text', c => c.primaryKey())
        .addColumn('factory', 'text', c => c.notNull())
        .addColumn('pipeline', 'text', c => c.notNull())
        .addColumn('fingerprint', 'text', c => c.notNull())
        .addColumn('parameters', 'text', c => c.notNull())
        .addColumn('info', 'text', c => c.notNull())
        .addColumn('state', 'text', c => c.notNull())
        .addColumn('wish', 'text')
        .addColumn('parent_run', 'text')
        .addColumn('parent_key', 'text')
        .addColumn('group_id', 'text', c => c.notNull())
        .addColumn('rerun_of', 'text')
        .addColumn('epoch', 'integer', c => c.notNull())
        .addColumn('owner_host', 'text')
        .addColumn('owner_pid', 'integer')
        .addColumn('owner_started', 'text')
        .addColumn('heartbeat_at', 'bigint')
        .addColumn('created_at', 'text', c => c.notNull())
        .addColumn('ended_at', 'text')
        .addColumn('error', 'text')
        .addColumn('return_value', 'text')
        .execute()
      await db.schema
        .createIndex('pipeline_run_by_parent')
        .on('pipeline_run')
        .columns(['parent_run', 'parent_key'])
        .execute()
      await db.schema
        .createIndex('pipeline_run_by_name')
        .on('pipeline_run')
        .columns(['factory', 'pipeline', 'id'])
        .execute()
      await db.schema
        .createTable('activity_run')
        .addColumn('run', 'text', c => c.notNull())
        .addColumn('key', 'text', c => c.notNull())
        .addColumn('seq', 'bigint', c => c.notNull())
        .addColumn('name', 'text', c => c.notNull())
        .addColumn('type', 'text', c => c.notNull())
        .addColumn('state', 'text', c => c.notNull())
        .addColumn('attempt', 'integer', c => c.notNull())
        .addColumn('started_at', 'bigint', c => c.notNull())
        .addColumn('ended_at', 'bigint')
        .addColumn('input', 'text')
        .addColumn('output', 'text')
        .addColumn('error', 'text')
        .addColumn('decision', 'text')
        .addColumn('effect', 'text')
        .addColumn('copy', 'text')
        .addColumn('secure', 'integer', c => c.notNull().defaultTo(0))
        .addColumn('user_properties', 'text')
        .addPrimaryKeyConstraint('activity_run_key', ['run', 'key'])
        .execute()
      await db.schema
        .createTable('pipeline_trigger')
        .addColumn('factory', 'text', c => c.notNull())
        .addColumn('name', 'text', c => c.notNull())
        .addColumn('started', 'integer', c => c.notNull())
        .addColumn('fingerprint', 'text', c => c.notNull())
        .addColumn('at', 'bigint', c => c.notNull())
        .addColumn('outcome', 'text')
        .addColumn('outcome_at', 'text')
        .addPrimaryKeyConstraint('pipeline_trigger_key', ['factory', 'name'])
        .execute()
      await db.schema
        .createTable('pipeline_window')
        .addColumn('factory', 'text', c => c.notNull())
        .addColumn('trigger', 'text', c => c.notNull())
        .addColumn('start_at', 'bigint', c => c.notNull())
        .addColumn('end_at', 'bigint', c => c.notNull())
        .addColumn('state', 'text', c => c.notNull())
        .addColumn('run', 'text')
        .addColumn('attempts', 'integer', c => c.notNull())
        .addColumn('retry_at', 'bigint')
        .addPrimaryKeyConstraint('pipeline_window_key', ['factory', 'trigger', 'start_at'])
        .execute()
    },
  },
  '0012_factories': {
    async up(db: Kysely<unknown>) {
      await db.schema
        .createTable('factory')
        .addColumn('name', 'text', c => c.primaryKey())
        .addColumn('source', 'text', c => c.notNull())
        .addColumn('added_at', 'text', c => c.notNull())
        .execute()
      await db.schema
        .createTable('callback')
        .addColumn('id', 'text', c => c.primaryKey())
        .addColumn('run', 'text', c => c.notNull())
        .addColumn('key', 'text', c => c.notNull())
        .addColumn('attempt', 'integer', c => c.notNull())
        .addColumn('called', 'integer', c => c.notNull())
        .addColumn('body', 'text')
        .execute()
      await db.schema.createIndex('callback_by_run').on('callback').columns(['run', 'key', 'attempt']).execute()
      await db.schema
        .alterTable('pipeline_run')
        .addColumn('watched', 'integer', c => c.notNull().defaultTo(0))
        .execute()
      await db.schema
        .alterTable('pipeline_run')
        .addColumn('deaths', 'integer', c => c.notNull().defaultTo(0))
        .execute()
      await db.schema.createIndex('activity_run_by_seq').on('activity_run').columns(['run', 'seq']).execute()
      await sql`UPDATE pipeline_run SET watched = 1 WHERE info NOT LIKE '%"type":"Manual"%'`.execute(db)
    },
  },
}
