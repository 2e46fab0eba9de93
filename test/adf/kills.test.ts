import { expect, it } from 'vitest'
import { seedOf } from '../seed.ts'
import { killPipelines } from './kills.ts'

const KILLS = Number(process.env.FERRY_KILLS ?? 6)

it('a pipeline goes on where its process was killed: each item exactly once', async () => {
  expect(await killPipelines(KILLS, seedOf('pipelines'))).toBe(KILLS)
}, 900_000)
