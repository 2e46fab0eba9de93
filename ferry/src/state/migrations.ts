/**
 * The schema's steps, in order, never changed once released. Each runs on SQLite and on PostgreSQL.
 */
import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

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
}
