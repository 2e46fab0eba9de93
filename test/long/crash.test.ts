/** Killed at a random moment and started again, or stopped and taken over: the result is as if nothing had happened. */
import { describe, it } from 'vitest'
import { killAtRandom, stopAtRandom } from '../crash.ts'
import { PAIRS } from '../pairs.ts'
import { seedOf } from '../seed.ts'

const seed = seedOf('crash tests')
const KILLS = Number(process.env.FERRY_KILLS ?? 2)
const TAKEOVERS = Number(process.env.FERRY_TAKEOVERS ?? 1)

/** What a change is tried with; `npm run torture` takes all pairs. */
const SOME = [
  'PostgreSQL -> PostgreSQL, append',
  'PostgreSQL -> PostgreSQL, merge',
  'PostgreSQL -> PostgreSQL, overwrite',
  'PostgreSQL without a key -> PostgreSQL, append',
  'PostgreSQL -> SQLite, merge',
  'PostgreSQL -> DuckDB, overwrite',
  'PostgreSQL -> Parquet, overwrite',
  'SQLite -> PostgreSQL, append',
  'CSV -> PostgreSQL, append',
  'Cosmos DB -> PostgreSQL, append',
  'PostgreSQL -> Cosmos DB, merge',
  'JSON Lines -> CSV, append',
  'MariaDB -> PostgreSQL, append',
  'PostgreSQL -> MariaDB, append',
  'PostgreSQL -> MariaDB, merge',
  'PostgreSQL -> MariaDB, overwrite',
]

/** What needs a MariaDB is a part of `npm run test:servers`. */
const withMariadb = process.env.FERRY_SERVERS !== undefined
const all = process.env.FERRY_TORTURE !== undefined
const names = (all ? PAIRS : SOME).filter(name =>
  all ? withMariadb || !name.includes('MariaDB') : name.includes('MariaDB') === withMariadb,
)

describe('kill -9 at random moments', () => {
  it.each(names)('%s', { timeout: 600_000 }, async name => {
    await killAtRandom(name, KILLS, seed)
    console.log(`${name}: ${KILLS} kills hit a running copy`)
  })
})

describe('stopped at random moments, taken over by another host, and going on', () => {
  it.each(names)('%s', { timeout: 600_000 }, async name => {
    const taken = await stopAtRandom(name, TAKEOVERS, seed)
    console.log(`${name}: ${TAKEOVERS} takeovers of a stopped process, ${taken} completed by the other host`)
  })
})
