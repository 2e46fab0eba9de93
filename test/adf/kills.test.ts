import { expect, it } from 'vitest'
import { seedOf } from '../seed.ts'
import { cancelFlow, killFlows } from './flowkills.ts'
import { killPipelines } from './kills.ts'

const KILLS = Number(process.env.FERRY_KILLS ?? 6)

it('a pipeline goes on where its process was killed: each item exactly once', async () => {
  expect(await killPipelines(KILLS, seedOf('pipelines'))).toBe(KILLS)
}, 900_000)

it('a data flow goes on where its process was killed: each row once, whether it is inserted, updated, upserted or deleted', async () => {
  expect(await killFlows(KILLS, seedOf('flows'))).toBe(KILLS)
}, 900_000)

it('a data flow that is cancelled when nothing executes it leaves no files', async () => {
  expect(await cancelFlow()).toEqual([])
}, 120_000)
