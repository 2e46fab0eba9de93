/** The official SDK, for what is put together from several partitions. Loaded only when it is needed. */

import { credentialOf } from '../entra.ts'
import type { CosmosContainer } from './container.ts'
import type { CosmosSettings } from './settings.ts'

/** The results of a query over all partitions, page by page. */
export async function* pagesOfSdk(
  settings: CosmosSettings,
  container: CosmosContainer,
  query: string,
  pageSize: number,
): AsyncGenerator<unknown[]> {
  const { CosmosClient } = await import('@azure/cosmos')
  const { endpoint, key, preferredRegions, endpointDiscovery } = settings
  const connectionPolicy = { preferredLocations: preferredRegions, enableEndpointDiscovery: endpointDiscovery }
  const client = new CosmosClient(
    key === undefined
      ? { endpoint, aadCredentials: await credentialOf('cosmos', settings), connectionPolicy }
      : { endpoint, key, connectionPolicy },
  )
  try {
    const [, database, , id] = container.link.split('/')
    const options = { maxItemCount: pageSize }
    const iterator = client.database(database!).container(id!).items.query(query, options)
    while (iterator.hasMoreResults()) {
      const { resources } = await iterator.fetchNext()
      if (resources && resources.length > 0) yield resources
    }
  } finally {
    client.dispose()
  }
}
