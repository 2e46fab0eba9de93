import { join } from 'node:path'
import { temporaryFolder } from '../../../../test/support.ts'
import { conformance } from '../../contract/conformance/suite.ts'
import { duckdbKind } from './settings.ts'

conformance('DuckDB', {
  kind: duckdbKind,
  evolves: true,
  isLocked: true,
  make: async () => ({
    endpoint: { kind: 'duckdb', path: join(temporaryFolder(), 'store.duckdb') },
    object: name => name,
  }),
})
