/**
 * `npm start`: the server with a sample to click on: a shop in SQLite, a second database, a folder of files, a local Azure
 * Cosmos DB account with a container. The list of jobs is empty: making the first one is the point.
 */
import { fork, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { CosmosClient } from '@azure/cosmos'
import { startAccount } from './account.ts'
import { makeShop } from './sample.ts'

const root = join(import.meta.dirname, '..')
process.chdir(root)
process.env.FERRY_HOME ||= join(root, '.ferry', 'sample')
const program = join('ferry', 'bin', 'ferry.js')
const data = join(root, 'sample')

function ferry(args: string[], home = process.env.FERRY_HOME): void {
  const env = { ...process.env, FERRY_HOME: home }
  const { status, stderr, stdout } = spawnSync(process.execPath, [program, ...args], { env, encoding: 'utf8' })
  if (status === 0) return
  console.error(stdout + stderr)
  process.exit(status ?? 1)
}

const isFirst = !existsSync(join(process.env.FERRY_HOME, 'state.db'))
const shop = join(data, 'shop.db')
if (!existsSync(shop)) {
  const rows = makeShop(shop)
  console.log(`Made sample/shop.db: a shop of five tables, ${rows.toLocaleString('en-US')} rows.`)
}
const isNewAccount = !existsSync(join(data, 'account.db'))
const { endpoint, key } = await startAccount('account.db')
console.log(`A local Azure Cosmos DB account listens at ${endpoint}`)
process.env.COSMOS_LOCAL_KEY = key
const local = endpoint.replace('http', 'cosmos')
const secret = 'key=${COSMOS_LOCAL_KEY}'
if (isNewAccount) {
  // In a state of its own: what fills the container is no job of the newcomer's.
  const aside = join(tmpdir(), `ferry-sample-${process.pid}`)
  ferry(['connections', 'add', 'local', `${local}shop`, '--set', secret], aside)
  ferry(['run', 'examples/shop-to-cosmos.yaml', '--quiet'], aside)
  // A container with enough request units for a copy that nobody has to wait for.
  const client = new CosmosClient({ endpoint, key, connectionPolicy: { enableEndpointDiscovery: false } })
  const target = { id: 'orders-by-status', partitionKey: '/status', throughput: 100_000 }
  await client.database('shop').containers.createIfNotExists(target)
  client.dispose()
}
// A database that is there can be tested before anything is copied into it.
new DatabaseSync(join(data, 'warehouse.db')).exec('PRAGMA user_version = 1')
mkdirSync(join(data, 'files'), { recursive: true })
const connections: Record<string, string[]> = {
  shop: [`sqlite:${shop}`],
  warehouse: [`sqlite:${join(data, 'warehouse.db')}`],
  files: [join(data, 'files')],
  account: [`${local}shop`, '--set', secret],
}
// What somebody has changed or removed stays so; the account has another port each time.
for (const [name, words] of Object.entries(connections)) {
  if (isFirst || name === 'account') ferry(['connections', 'add', name, ...words])
}

const port = process.env.FERRY_PORT ?? '7070'
const server = fork(
  program,
  ['serve', '--folder', data, '--variable', 'COSMOS_LOCAL_KEY', '--port', port, '--log-level', 'warn'],
  {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  },
)
server.stdout!.setEncoding('utf8').on('data', (text: string) => {
  const url = /listens at (\S+)/.exec(text)?.[1]
  if (!url) return
  const token = process.env.FERRY_TOKEN ?? readFileSync(join(process.env.FERRY_HOME!, 'token'), 'utf8').trim()
  console.log(`
Open  ${url}/#token=${token}

  New copy job -> shop -> all tables -> warehouse -> Save and run: a copy in a minute.
  Or account -> orders -> account, to orders-by-status: a container under another partition key, also online.
  The same on the command line: npm run tour; docs/; or, with the jobs and connections of this server:
    export FERRY_HOME=${process.env.FERRY_HOME}
    npx ferry list
  The key of the account, where you want it: export COSMOS_LOCAL_KEY=${key}
  Ctrl-C ends it; what runs goes on with the next start.
`)
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => server.kill(signal))
server.once('exit', code => process.exit(code ?? 1))
