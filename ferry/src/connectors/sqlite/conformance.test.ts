import { join } from 'node:path'
import { temporaryFolder } from '../../../../test/support.ts'
import { conformance } from '../../contract/conformance/suite.ts'
import { sqliteKind } from './settings.ts'

conformance('SQLite', {
  kind: sqliteKind,
  evolves: true,
  refuses: {
    uint64: text => BigInt(text) > 2n ** 63n - 1n,
    float32: text => text === '-0' || text === 'NaN',
    float64: text => text === '-0' || text === 'NaN',
  },
  make: async () => ({
    endpoint: { kind: 'sqlite', path: join(temporaryFolder(), 'store.db') },
    object: name => name,
  }),
})
