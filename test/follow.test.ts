/** Sources that are written to all the time, through kills, crashes and cuts. */
import { describe, it } from 'vitest'
import { filledPostgres, followThroughFaults, ownPostgres } from './follow.ts'
import { seedOf } from './seed.ts'

const seed = seedOf('follow tests')
const faults = Number(process.env.FERRY_KILLS ?? 4)

describe('a copy of what changes at random', () => {
  it.each([
    ['runs that end', { mode: 'incremental', tracking: 'cdc' }],
    ['one that follows online', { mode: 'online' }],
  ])('PostgreSQL -> PostgreSQL, %s', { timeout: 600_000 }, async (name, job) => {
    const from = await filledPostgres()
    const to = await ownPostgres()
    const result = await followThroughFaults(from, to, { seed, faults, job })
    console.log(`PostgreSQL -> PostgreSQL, ${name}: ${result.writes} transactions, ${JSON.stringify(result.faults)}`)
  })
})
