import { join } from 'node:path'
import { mergeConfig } from 'vitest/config'
import usual from '../../vitest.config.ts'

/** The suite on a store that is wrong: test/long/wrongstores.test.ts. */
export default mergeConfig(
  { ...usual, test: { ...usual.test, globalSetup: [], exclude: [] } },
  { test: { root: join(import.meta.dirname, '..', '..') } },
)
