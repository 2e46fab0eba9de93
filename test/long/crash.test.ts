/** Killed at a random moment and started again: the result is as if nothing had happened. */
import { describe, it } from 'vitest'
import { crashScenarios, runCrashScenario, runTakeoverScenario } from '../crash.ts'
import { seedOf } from '../seed.ts'

const seed = seedOf('crash tests')
const KILLS = Number(process.env.FERRY_KILLS ?? 2)

/** What needs a MariaDB is a part of `npm run test:servers`. */
const isDue = (name: string) => name.includes('MariaDB') === (process.env.FERRY_SERVERS !== undefined)

describe('kill -9 at random moments', () => {
  it.each(Object.keys(crashScenarios).filter(isDue))('%s', { timeout: 300_000 }, async name => {
    await runCrashScenario(name, KILLS, seed)
    console.log(`${name}: ${KILLS} kills hit a running copy`)
  })
})

const TAKEOVERS = Number(process.env.FERRY_TAKEOVERS ?? 2)

describe('stopped at random moments, taken over by another host, and going on', () => {
  it.each(Object.keys(crashScenarios).filter(isDue))('%s', { timeout: 600_000 }, async name => {
    const taken = await runTakeoverScenario(name, TAKEOVERS, seed)
    console.log(`${name}: ${TAKEOVERS} stopped processes, ${taken} runs completed by another host`)
  })
})
