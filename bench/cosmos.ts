/**
 * `npm run bench:cosmos`: copies of containers on a local account, Ferry as it is installed beside bare loops of the
 * official SDK, in turn, in one run on one machine. The account shares the machine: only the ratios mean something.
 */
import { fork } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CosmosClient } from '@azure/cosmos'
import { startAccount } from 'cosmos-local'
import { installed, keep, median, type Timing, time } from './timing.ts'

const COUNT = Number(process.env.FERRY_BENCH_DOCUMENTS ?? 60_000)
const RUNS = Number(process.env.FERRY_BENCH_RUNS ?? 3)

if (process.argv[2] === 'serve') {
  const running = await startAccount({ key: process.argv[3]!, partitions: 4 })
  const { account } = running
  account.createDatabase('bench', {})
  const make = (id: string) => {
    const definition = { id, partitionKey: { paths: ['/pk'], kind: 'Hash', version: 2 } }
    return account.createContainer('bench', definition as never, { manual: 1_000_000 })
  }
  const source = make('source')
  const filler = 'x'.repeat(900)
  account.store.transaction(() => {
    for (let i = 0; i < COUNT; i++) source.create(`{"id":"i${i}","pk":"p${i % 500}","n":${i},"filler":"${filler}"}`)
    source.saveLsn()
  })
  process.on('message', id => {
    if (account.containersOf('bench').some(c => c.definition.id === id)) account.deleteContainer('bench', id as string)
    make(id as string)
    process.send!('made')
  })
  process.send!(running.endpoint)
} else await measure()

async function measure(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'ferry-bench-'))
  const key = Buffer.from('a key for the benchmark only').toString('base64')
  const server = fork(fileURLToPath(import.meta.url), ['serve', key])
  const endpoint = await new Promise<string>(resolve => server.once('message', m => resolve(m as string)))
  const ferry = await installed(folder)
  const locator = `${endpoint.replace('http', 'cosmos')}/bench?key=${encodeURIComponent(key)}`
  const emptied = async () => {
    const made = new Promise(resolve => server.once('message', resolve))
    server.send('target')
    await made
  }
  const csv = join(folder, 'documents.csv')
  const filler = 'x'.repeat(900)
  const lines = Array.from({ length: COUNT }, (_, i) => `i${i},p${i % 500},${i},${filler}`)
  writeFileSync(csv, `id,pk,n,filler\n${lines.join('\n')}\n`)
  const sdk = (words: string) => `node ${join(import.meta.dirname, 'cosmos-sdk.ts')} ${words}`
  const cases = [
    {
      name: 'container -> container',
      against: 'SDK change feed, SDK bulk upserts',
      ferry: `${ferry} copy --quiet --full-refresh --update merge "${locator}#source" "${locator}#target"`,
      other: sdk(`copy ${endpoint} ${key} source target`),
      counts: true,
    },
    {
      name: 'CSV -> container',
      against: 'lines split at commas, SDK bulk upserts',
      ferry: `${ferry} copy --quiet --full-refresh --update merge ${csv} "${locator}#target"`,
      other: sdk(`csv ${endpoint} ${key} ${csv} target`),
      counts: true,
    },
    {
      name: 'container -> Parquet',
      against: 'SDK change feed, SDK bulk upserts',
      ferry: `${ferry} copy --quiet --full-refresh "${locator}#source" ${join(folder, 'out.parquet')}`,
      other: sdk(`copy ${endpoint} ${key} source target`),
      counts: false,
    },
    {
      name: 'container -> Parquet',
      against: 'SDK change feed, nothing written',
      ferry: `${ferry} copy --quiet --full-refresh "${locator}#source" ${join(folder, 'out.parquet')}`,
      other: sdk(`read ${endpoint} ${key} source`),
      counts: false,
    },
  ]
  const table = [
    '| pair | against | documents per CPU second | elapsed | Ferry us CPU a document | documents/s | other us CPU | documents/s |',
    '|---|---|---|---|---|---|---|---|',
  ]
  try {
    for (const c of cases) {
      const mine: Timing[] = []
      const others: Timing[] = []
      for (let run = 0; run <= RUNS; run++) {
        await emptied()
        const f = time(c.ferry, folder)
        if (c.counts) await check(endpoint, key)
        await emptied()
        const o = time(c.other, folder)
        if (c.counts) await check(endpoint, key)
        // The first of each only warms caches.
        if (run === 0) continue
        mine.push(f)
        others.push(o)
      }
      const pick = (timings: Timing[], of: keyof Timing) => median(timings.map(t => t[of]))
      const each = (timings: Timing[]) =>
        `${((pick(timings, 'cpu') / COUNT) * 1e6).toFixed(0)} | ${Math.round(COUNT / pick(timings, 'wall')).toLocaleString('en-US')}`
      const gain = (of: keyof Timing) => `${(pick(others, of) / pick(mine, of)).toFixed(1)}x`
      table.push(`| ${c.name} | ${c.against} | ${gain('cpu')} | ${gain('wall')} | ${each(mine)} | ${each(others)} |`)
      console.log(table.at(-1))
    }
    const head = `${COUNT.toLocaleString('en-US')} documents of 1 KB, medians of ${RUNS} runs in turn, whole processes; ${cpus().length} processors shared with the account, Node ${process.versions.node}.`
    console.log(`\n${head}\n\n${table.join('\n')}`)
    keep('cosmos', `${head}\n\n${table.join('\n')}`)
  } finally {
    server.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Both leave the same container. */
async function check(endpoint: string, key: string): Promise<void> {
  const client = new CosmosClient({ endpoint, key })
  const ask = async (query: string) =>
    (await client.database('bench').container('target').items.query(query).fetchAll()).resources[0]
  const found = [await ask('SELECT VALUE COUNT(1) FROM c'), await ask('SELECT VALUE SUM(c.n) FROM c')]
  client.dispose()
  const wanted = [COUNT, (COUNT * (COUNT - 1)) / 2]
  if (found.join() !== wanted.join()) throw new Error(`the copy differs: ${found} instead of ${wanted}`)
}
