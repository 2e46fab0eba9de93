/** Sources that are written to all the time, through kills, crashes and cuts. */
import { describe, it } from 'vitest'
import { contents, fill, RandomWriter } from '../cosmos.ts'
import { filledPostgres, followThroughFaults, ownAccount, ownPostgres } from '../follow.ts'
import { seedOf } from '../seed.ts'

const seed = seedOf('follow tests')
const faults = Number(process.env.FERRY_KILLS ?? 4)

const MODES: [string, Record<string, unknown>][] = [
  ['runs that end', { mode: 'incremental', tracking: 'cdc' }],
  ['one that follows online', { mode: 'online' }],
]

describe('a copy of what changes at random', () => {
  it.each(MODES)('PostgreSQL -> PostgreSQL, %s', { timeout: 600_000 }, async (name, job) => {
    const from = await filledPostgres()
    const to = await ownPostgres()
    const result = await followThroughFaults(from, to, { seed, faults, job, evolving: 'with values' })
    console.log(`PostgreSQL -> PostgreSQL, ${name}: ${result.writes} transactions, ${JSON.stringify(result.faults)}`)
  })

  it.each(MODES)('PostgreSQL -> Cosmos DB, %s', { timeout: 600_000 }, async (name, job) => {
    const from = await filledPostgres()
    // One container by the key of the rows, one by a value that changes.
    const to = await ownAccount({ plain: '/id', pairs: '/v' })
    const tables = [
      { name: 'plain', settings: { columns: { id: { to: 'id', type: 'utf8' }, v: 'v', big: 'big', n: 'n' } } },
      { name: 'pairs' },
    ]
    const result = await followThroughFaults(from, to, { seed, faults, job, tables, evolving: 'empty' })
    console.log(`PostgreSQL -> Cosmos DB, ${name}: ${result.writes} transactions, ${JSON.stringify(result.faults)}`)
  })

  it.each(MODES)('Cosmos DB -> PostgreSQL, %s', { timeout: 600_000 }, async (name, job) => {
    const from = await ownAccount({ orders: '/customer' }, { continuousBackup: true, partitions: 2 })
    fill(from.running, 'orders', 500)
    const to = await ownPostgres()
    const writer = new RandomWriter(from.running, 'orders', { seed, everyMs: 60_000 })
    // Items that expire are changes that nobody writes.
    const isAtRest = () => ![...contents(from.running, 'orders').values()].some(text => text.includes('"ttl"'))
    const source = { ...from, write: async () => writer.some(3), isAtRest }
    const columns = { id: 'id', customer: 'customer', n: { to: 'n', type: 'decimal(20,1)' } }
    const tables = [{ name: 'orders', settings: { keys: ['id'], columns } }]
    const result = await followThroughFaults(source, to, { seed, faults, job, tables })
    console.log(`Cosmos DB -> PostgreSQL, ${name}: ${writer.writes} writes, ${JSON.stringify(result.faults)}`)
  })
})
