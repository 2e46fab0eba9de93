/** The change-over at the end of an overwrite, and what follows a copy into a table that was there. */
import type { LedgerClient } from '../ledger.ts'
import { qualified } from './catalog.ts'
import { quoteName, quoteText } from './client.ts'

type Name = { schema: string; table: string }

/**
 * The stage takes the live table's place, with indexes and constraints like the live ones under their own names. They
 * are built before the lock that keeps readers out, so that readers wait for renames only.
 */
export async function swapTables(client: LedgerClient, target: Name, stage: Name): Promise<void> {
  const live = qualified(target)
  const staged = qualified(stage)
  // Keeps others from changing the table's definition, not from reading or writing it.
  await client.query(`LOCK TABLE ${live} IN SHARE UPDATE EXCLUSIVE MODE`)
  const constraints = await client.query(
    `SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint
     WHERE conrelid = ${quoteText(live)}::regclass AND contype IN ('p', 'u', 'x') ORDER BY contype, conname`,
  )
  // What follows the name of the table: pg_get_indexdef names it with its schema.
  const indexes = await client.query(
    `SELECT x.relname AS name, i.indisunique AS is_unique, substr(pg_get_indexdef(i.indexrelid), 1 + length(
       format('CREATE %sINDEX %I ON %I.%I', CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, x.relname, n.nspname, t.relname)
     )) AS definition
     FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
     JOIN pg_namespace n ON n.oid = t.relnamespace WHERE i.indrelid = ${quoteText(live)}::regclass
     AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.indexrelid AND c.conrelid = i.indrelid)`,
  )
  const renames: string[] = []
  for (const [i, c] of constraints.entries()) {
    const name = `${stage.table}_c${i}`
    await client.query(`ALTER TABLE ${staged} ADD CONSTRAINT ${quoteName(name)} ${c.definition}`)
    renames.push(`ALTER TABLE ${live} RENAME CONSTRAINT ${quoteName(name)} TO ${quoteName(c.name as string)}`)
  }
  for (const [i, index] of indexes.entries()) {
    const name = `${stage.table}_i${i}`
    const unique = index.is_unique ? 'UNIQUE ' : ''
    await client.query(`CREATE ${unique}INDEX ${quoteName(name)} ON ${staged}${index.definition}`)
    const built = qualified({ schema: target.schema, table: name })
    renames.push(`ALTER INDEX ${built} RENAME TO ${quoteName(index.name as string)}`)
  }
  await client.query(`LOCK TABLE ${live} IN ACCESS EXCLUSIVE MODE`)
  await client.query(`DROP TABLE ${live}`)
  await client.query(`ALTER TABLE ${staged} RENAME TO ${quoteName(target.table)}`)
  for (const rename of renames) await client.query(rename)
}

/** Sequences of identity and serial columns continue after the highest value that was copied. */
export async function advanceSequences(client: LedgerClient, target: Name, columns: string[]): Promise<void> {
  const live = qualified(target)
  const sequences = await client.query(
    `SELECT a.attname AS name, pg_get_serial_sequence(${quoteText(live)}, a.attname) AS sequence
     FROM pg_attribute a WHERE a.attrelid = ${quoteText(live)}::regclass AND a.attnum > 0 AND NOT a.attisdropped
     AND pg_get_serial_sequence(${quoteText(live)}, a.attname) IS NOT NULL`,
  )
  for (const { name, sequence } of sequences as { name: string; sequence: string }[]) {
    if (!columns.includes(name)) continue
    await client.query(
      `SELECT setval(${quoteText(sequence)}, highest) FROM (SELECT max(${quoteName(name)}) AS highest FROM ${live}) m
       WHERE highest > (SELECT last_value FROM ${sequence})`,
    )
  }
}
