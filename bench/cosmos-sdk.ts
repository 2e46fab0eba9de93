/** The bare loops that `bench/cosmos.ts` compares with: the official SDK and nothing else. */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { BulkOperationType, ChangeFeedStartFrom, type Container, CosmosClient } from '@azure/cosmos'

const [what, endpoint, key, from, to] = process.argv.slice(2) as [string, string, string, string, string]
/** Documents in one call of the SDK's bulk: larger ones hold more in memory, smaller ones wait more often. */
const AT_ONCE = 5000

const client = new CosmosClient({ endpoint, key })
const container = (id: string) => client.database('bench').container(id)

type Document = { id: string; pk: string }

async function write(target: Container, documents: Document[]): Promise<void> {
  const operations = documents.map(resourceBody => ({
    operationType: BulkOperationType.Upsert,
    partitionKey: resourceBody.pk,
    resourceBody,
  }))
  const results = await target.items.executeBulkOperations(operations as never)
  const failed = results.find(r => (r.response?.statusCode ?? 500) >= 300)
  if (failed) throw new Error(JSON.stringify(failed))
}

async function* feed(source: Container): AsyncGenerator<Document[]> {
  const options = { changeFeedStartFrom: ChangeFeedStartFrom.Beginning(), maxItemCount: 1000 }
  for await (const page of source.items.getChangeFeedIterator<Document>(options).getAsyncIterator()) {
    if (page.statusCode === 304 || page.result.length === 0) return
    yield page.result.map(({ ...own }) => {
      for (const name of ['_rid', '_self', '_etag', '_attachments', '_ts', '_lsn']) delete (own as never)[name]
      return own
    })
  }
}

async function writeAll(target: Container, pages: AsyncIterable<Document[]>): Promise<void> {
  let some: Document[] = []
  for await (const page of pages) {
    some.push(...page)
    if (some.length < AT_ONCE) continue
    await write(target, some)
    some = []
  }
  if (some.length > 0) await write(target, some)
}

async function* csv(path: string): AsyncGenerator<Document[]> {
  const lines = createInterface({ input: createReadStream(path) })
  let names: string[] | undefined
  for await (const line of lines) {
    const values = line.split(',')
    if (names)
      yield [Object.fromEntries(names.map((n, i) => [n, n === 'n' ? Number(values[i]) : values[i]])) as Document]
    else names = values
  }
}

if (what === 'copy') await writeAll(container(to), feed(container(from)))
else if (what === 'csv') await writeAll(container(to), csv(from))
else for await (const page of feed(container(from))) void page
client.dispose()
