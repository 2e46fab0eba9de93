import { join } from 'node:path'
import { mergeConfig } from 'vitest/config'
import usual from '../../vitest.config.ts'

/** Everything: what kills, stops, follows and clones too. `npm run test:all`. */
export default mergeConfig(
  { ...usual, test: { ...usual.test, exclude: usual.test!.exclude!.filter(path => path !== 'test/long/**') } },
  { test: { root: join(import.meta.dirname, '..', '..') } },
)
