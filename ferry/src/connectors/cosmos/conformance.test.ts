import { account, endpointOf } from '../../../../test/cosmos.ts'
import { conformance } from '../../contract/conformance/suite.ts'
import { cosmosKind } from './settings.ts'

const noNumber = (text: string) => /NaN|[Ii]nf/.test(text)

conformance('Azure Cosmos DB for NoSQL', {
  kind: cosmosKind,
  evolves: true,
  filter: 'c.n < 10',
  refuses: { float32: noNumber, float64: noNumber, numeric: noNumber },
  make: async () => ({
    endpoint: endpointOf(await account({ continuousBackup: true })),
    object: name => name,
    write: { partitionKey: '/id', throughput: 100_000 },
  }),
})
