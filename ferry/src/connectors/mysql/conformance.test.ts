import { describe } from 'vitest'
import { hasMariadb, makeMariadb } from '../../../../test/support.ts'
import { conformance } from '../../contract/conformance/suite.ts'
import { mysqlKind } from './settings.ts'

const noNumber = (text: string) => /NaN|[Ii]nf|^-0$/.test(text)
/** Beyond the years 1 to 9999. */
const isFar = (text: string) => /BC|inf|^\d{5}/.test(text)

describe.runIf(hasMariadb())('with npm run test:servers', () =>
  conformance('MariaDB', {
    kind: mysqlKind,
    evolves: true,
    refuses: {
      float32: noNumber,
      float64: noNumber,
      numeric: text => noNumber(text) || text.replace(/^-?(\d+).*/, '$1').length > 35 || /\.\d{31}/.test(text),
      date: isFar,
      timestamp: isFar,
      timestamptz: isFar,
      timestampns: text => isFar(text) || /\.\d{7,}/.test(text),
    },
    make: async () => ({
      endpoint: { kind: 'mysql', ...(await makeMariadb()).settings },
      object: name => name,
    }),
  }),
)
