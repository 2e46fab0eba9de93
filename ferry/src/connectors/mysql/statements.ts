/** The SQL that writing to MySQL needs, readable in one place. */
import type { MappedColumn } from '../../contract/schema.ts'
import type { LedgerDialect } from '../ledger.ts'
import { quoteName, quoteText } from './client.ts'
import { toNative } from './types.ts'

export const names = (columns: string[]): string => columns.map(quoteName).join(', ')

export const LEDGER_DIALECT: LedgerDialect = {
  key: 'VARCHAR(150) CHARACTER SET ascii',
  text: 'LONGTEXT',
  literal: quoteText,
  share: ' LOCK IN SHARE MODE',
  upsert: (name, values, set) =>
    `INSERT INTO ${name} VALUES (${values}) ON DUPLICATE KEY UPDATE ${set({
      old: '',
      fresh: column => `VALUES(${column})`,
    })}`,
}

/** A text as a key: an index takes 3072 bytes. */
const KEY_TEXT = 'varchar(700)'
const KEY_BINARY = 'varbinary(2000)'

/** The type of a column in a table that Ferry makes. */
export function nativeOf(column: MappedColumn, keys: string[]): string {
  const native = column.native || toNative(column.type)
  return keys.includes(column.name) ? keyNative(native) : native
}

/** The type of a column that is a part of a key. */
export function keyNative(native: string): string {
  return native === 'longtext' ? KEY_TEXT : native === 'longblob' ? KEY_BINARY : native
}

/** `collation` compares texts by their code points, trailing spaces too. */
export function createTable(table: string, columns: MappedColumn[], keys: string[], collation: string): string {
  const lines = columns.map(c => {
    const [type, comment] = nativeOf(c, keys).split(' COMMENT ')
    const required = !c.nullable || keys.includes(c.name)
    return `${quoteName(c.name)} ${type} ${required ? 'NOT NULL' : 'NULL'}${filled(c, keys)}${comment === undefined ? '' : ` COMMENT ${comment}`}`
  })
  if (keys.length > 0) lines.push(`PRIMARY KEY (${names(keys)})`)
  return `CREATE TABLE IF NOT EXISTS ${table} (\n  ${lines.join(',\n  ')}\n) CHARACTER SET utf8mb4 COLLATE ${collation}`
}

/** A column counts where an index begins with it. */
function filled({ name, type, filled: by }: MappedColumn, keys: string[]): string {
  if (by?.by === 'numbers') return keys[0] === name ? ' AUTO_INCREMENT' : ''
  if (by?.by === 'sql') return ` DEFAULT ${by.sql}`
  if (by?.by !== 'text') return ''
  switch (type.kind) {
    case 'bool':
      return ` DEFAULT ${by.text}`
    case 'int':
    case 'decimal':
    case 'float':
    case 'date':
      return ` DEFAULT ${quoteText(by.text)}`
    case 'utf8':
      // Long texts take an expression only.
      return ` DEFAULT (${quoteText(by.text)})`
    default:
      return ''
  }
}

export function loadInto(target: string, fields: string, replace: boolean): string {
  return `LOAD DATA LOCAL INFILE 'ferry' ${replace ? 'REPLACE ' : ''}INTO TABLE ${target} CHARACTER SET utf8mb4
    FIELDS TERMINATED BY X'09' ESCAPED BY X'5C' LINES TERMINATED BY X'0A' ${fields}`
}

/** Rows of the staging table into the live one, where its only unique index is that of the keys. */
export function mergeOnDuplicate(target: string, staging: string, columns: string[], keys: string[]): string[] {
  const rest = columns.filter(c => !keys.includes(c))
  const set = (rest.length > 0 ? rest : keys.slice(0, 1)).map(c => `${quoteName(c)} = VALUES(${quoteName(c)})`)
  return [
    `INSERT INTO ${target} (${names(columns)}) SELECT ${names(columns)} FROM ${staging} ON DUPLICATE KEY UPDATE ${set.join(', ')}`,
  ]
}

/** The same where other unique indexes could match other rows, or none covers the keys. */
export function mergeByComparison(
  target: string,
  staging: string,
  columns: string[],
  { keys, match }: { keys: string[]; match: string },
): string[] {
  const rest = columns.filter(c => !keys.includes(c))
  const set = rest.map(c => `t.${quoteName(c)} = s.${quoteName(c)}`).join(', ')
  const some = columns.map(c => `s.${quoteName(c)}`).join(', ')
  return [
    ...(rest.length > 0 ? [`UPDATE ${target} t JOIN ${staging} s ON ${match} SET ${set}`] : []),
    `INSERT INTO ${target} (${names(columns)}) SELECT ${some} FROM ${staging} s LEFT JOIN ${target} t ON ${match}
     WHERE t.${quoteName(keys[0]!)} IS NULL`,
  ]
}

/** That two values are of the same bytes, whatever their collation takes for one. */
export const exact = (a: string, b: string): string => `CAST(${a} AS BINARY) = CAST(${b} AS BINARY)`

/** Keys of a staging table that are distinct by their bytes. */
export function exactKeys(staging: string, keys: string[]): string {
  const bytes = keys.map(key => `HEX(CAST(${quoteName(key)} AS BINARY))`).join(", '-', ")
  const hash = `UNHEX(SHA2(CONCAT(${bytes}), 256))`
  return `ALTER TABLE ${staging} ADD COLUMN ferry_key BINARY(32) AS (${hash}) STORED, ADD UNIQUE KEY (ferry_key)`
}

/** What is in the live table and not in the staging one goes. */
export function deleteOthers(
  target: string,
  staging: string,
  { keys, match }: { keys: string[]; match: string },
): string {
  return `DELETE t FROM ${target} t LEFT JOIN ${staging} s ON ${match} WHERE s.${quoteName(keys[0]!)} IS NULL`
}
