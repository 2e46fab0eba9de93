/** What all kinds of stores of files declare. */
import type { Abilities, Kind } from '../contract/store.ts'
import { DUCKDB_ENCODINGS } from '../duckdb/encodings.ts'
import { FILES_ENCODING } from './binary.ts'
import { readSchema, writeSchema } from './options.ts'

const abilities: Abilities = {
  update: ['overwrite', 'append'],
  transactional: false,
  queries: false,
  knowsNew: true,
  patterns: true,
  arrivals: true,
  writesApart: true,
}

export const OF_FILES = {
  options: { read: readSchema, write: writeSchema },
  encodings: { ...DUCKDB_ENCODINGS, ...FILES_ENCODING },
  tellsChanges: false,
  abilities,
} satisfies Partial<Kind>
