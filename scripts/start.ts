/** `npm start`: makes the sample shop, runs the example jobs over it, verifies one, and says what to try next. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { makeShop } from './sample.ts'

const root = join(import.meta.dirname, '..')
process.chdir(root)
process.env.FERRY_HOME ??= join(root, 'sample', 'state')

function ferry(...args: string[]): void {
  console.log(`\n$ ferry ${args.join(' ')}`)
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
console.log(`
What to try next (npx ferry, or npm run ferry -- ...):
  npx ferry plan examples/shop-to-sqlite.yaml        what a run would do
  npx ferry copy sample/shop.db#orders orders.csv    one table, without a job file
  npx ferry copy sample/shop.db 'postgres://user@localhost/db'   the whole shop into PostgreSQL
  npx ferry runs                                     what has run (FERRY_HOME=sample/state)
  docs/                                              one task a page
`)
