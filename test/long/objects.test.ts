/** Copies into Azure Blob Storage, killed while they upload. */
import { it } from 'vitest'
import { killUploads } from '../objectkills.ts'
import { seedOf } from '../seed.ts'
import { startAzurite } from '../servers/azurite.ts'

const KILLS = Number(process.env.FERRY_KILLS ?? 8)

it('Azure Blob Storage: each row is there once, and nothing else', { timeout: 900_000 }, async ({ onTestFinished }) => {
  const azurite = await startAzurite()
  onTestFinished(() => azurite.stop())
  const endpoint = await azurite.container()
  const container = azurite.service.getContainerClient(endpoint.container)
  const everything = async () => {
    const names: string[] = []
    for await (const { name } of container.listBlobsFlat()) names.push(name)
    return names
  }
  await killUploads({ endpoint, everything }, KILLS, seedOf('killed uploads'))
})
