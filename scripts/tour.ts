/**
 * `npm run tour`: makes the sample shop, runs the example jobs over it and verifies one; then starts a local Azure Cosmos DB
 * account, fills a container and copies it to another partition key; and says what to try next.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { startAccount } from './account.ts'
import { makeShop } from './sample.ts'

const root = join(import.meta.dirname, '..')
process.chdir(root)
process.env.FERRY_HOME ||= join(root, '.ferry', 'tour')

function ferry(...args: string[]): void {
  console.log(`\n$ ferry ${args.map(a => (/[^\w./:=,@#-]/.test(a) ? `'${a}'` : a)).join(' ')}`)
  const { status } = spawnSync(process.execPath, [join('ferry', 'bin', 'ferry.js'), ...args], { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

const shop = join('sample', 'shop.db')
if (!existsSync(shop)) {
  const rows = makeShop(shop)
  console.log(`Made ${shop}: a shop of five tables, ${rows.toLocaleString('en-US')} rows.`)
}
ferry('run', 'examples/shop-to-parquet.yaml')
ferry('run', 'examples/shop-to-sqlite.yaml')
ferry('verify', 'examples/shop-to-sqlite.yaml')

console.log('\n$ cosmos-local --path sample/tour.db --continuous-backup')
const { endpoint, key, child } = await startAccount('tour.db')
console.log(`A local Azure Cosmos DB account listens at ${endpoint}.`)
process.env.COSMOS_LOCAL_KEY = key
ferry('connections', 'add', 'local', endpoint.replace('http', 'cosmos'), '--set', 'key=${COSMOS_LOCAL_KEY}')
ferry('run', 'examples/shop-to-cosmos.yaml')
// Names of copy jobs are unique for ever.
const name = `by-status-${Date.now().toString(36)}`
const words = [
  'create',
  '--job-name',
  name,
  '--dest-account',
  'local',
  '--src-nosql',
  'database=shop',
  'container=orders',
]
const target = ['--dest-nosql', 'database=shop', 'container=orders-by-status']
const made = ['--create-targets', '--partition-key', '/status', '--throughput', '100000', '--wait', '--output', 'table']
ferry('cosmos', 'copy', ...words, ...target, ...made)
child.kill()

console.log(`
What to try next (npx ferry, or npm run ferry -- ...):
  npm start                                          the same in the browser
  npx ferry plan examples/shop-to-sqlite.yaml        what a run would do
  npx ferry copy sample/shop.db#orders orders.csv    one table, without a job file
  npx ferry copy sample/shop.db 'postgres://user@localhost/db'   the whole shop into PostgreSQL
  npx cosmos-local --path sample/tour.db             the local account again, at port 8081
  npx ferry runs                                     what has run (FERRY_HOME=.ferry/tour)
  docs/                                              one task a page
`)
