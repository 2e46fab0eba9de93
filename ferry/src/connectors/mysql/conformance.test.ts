import { describe } from 'vitest'
import { hasMariadb, makeMariadb } from '../../../../test/support.ts'
import { conformance } from '../../contract/conformance/suite.ts'
import { mysqlKind } from './settings.ts'

describe.runIf(hasMariadb())('with npm run test:servers', () =>
  conformance('MariaDB', {
    abilities: mysqlKind.abilities,
    evolves: true,
    make: async () => ({
      endpoint: { kind: 'mysql', ...(await makeMariadb()).settings },
      object: name => name,
    }),
  }),
)
