/**
 * `npm run bench:pace`: how much of 10,000 enforced RU/s a copy uses, and how often it is refused: alone, beside a client
 * that comes later and takes half of every partition, and beside one that takes nearly all of a single one.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startAccount } from 'cosmos-local'
import { jobSchema } from '../ferry/src/job/schema.ts'
import { Policy } from '../ferry/src/policy.ts'
import { runJob } from '../ferry/src/runtime/run.ts'
import { openState } from '../ferry/src/state/database.ts'
import { keep } from './timing.ts'

const GIVEN = 10_000
const PARTITIONS = 3
const SECONDS = Number(process.env.FERRY_BENCH_SECONDS ?? 40)
/** What a write of 1 KB costs. */
const UNITS = 5.3

interface Outcome {
  used: number
  refused: number
}

/** A copy that takes about so long; `other` takes this share of partitions from a third of the time on. */
async function measure(other: { share: number; partitions: number[] } | undefined, budget?: number): Promise<Outcome> {
  const from = await startAccount({ partitions: 4 })
  const to = await startAccount({ partitions: PARTITIONS, enforceThroughput: true })
  const definition = { id: 'c', partitionKey: { paths: ['/pk'], version: 2, kind: 'Hash' } } as never
  for (const { account } of [from, to]) account.createDatabase('bench', {})
  const source = from.account.createContainer('bench', definition, { manual: 1_000_000 })
  const target = to.account.createContainer('bench', definition, { manual: GIVEN })
  const part = budget === undefined ? 1 : budget / GIVEN
  const left = other ? 1 - (other.share * other.partitions.length * 2) / 3 / PARTITIONS : 1
  const count = Math.round((GIVEN / UNITS) * SECONDS * left * part)
  from.account.store.transaction(() => {
    for (let i = 0; i < count; i++) source.create(`{"id":"i${i}","pk":"p${i}","f":"${'x'.repeat(950)}"}`)
    source.saveLsn()
  })
  const { throttle } = to.account
  /** Where somebody else takes units: what they are used for is looked at there. */
  const parts = other?.partitions ?? target.partitions.all.map((_, i) => i)
  const watched = new Set(parts.map(p => `${target.num}/${target.partitions.all[p]!.id}`))
  const share = GIVEN / PARTITIONS
  let operations = 0
  let refused = 0
  let own = 0
  let others = 0
  let first = 0
  let last = 0
  const { admit, charge } = { admit: throttle.admit.bind(throttle), charge: throttle.charge.bind(throttle) }
  throttle.admit = (partition, perSecond) => {
    operations++
    try {
      admit(partition, perSecond)
    } catch (error) {
      refused++
      throw error
    }
  }
  throttle.charge = (partition, perSecond, units) => {
    if (watched.has(partition)) own += units
    first ||= performance.now()
    last = performance.now()
    charge(partition, perSecond, units)
  }
  const TICK_MS = 50
  const taking = setInterval(() => {
    if (!other || first === 0 || performance.now() - first < (SECONDS / 3) * 1000) return
    for (const p of other.partitions) {
      const { id } = target.partitions.all[p]!
      const units = (share * other.share * TICK_MS) / 1000
      others += units
      charge(`${target.num}/${id}`, share, units)
    }
  }, TICK_MS)
  const home = mkdtempSync(join(tmpdir(), 'ferry-bench-'))
  const state = await openState({ FERRY_HOME: home })
  const endpoint = (a: typeof from) => ({ kind: 'cosmos', endpoint: a.endpoint, key: a.key, database: 'bench' })
  const write = budget === undefined ? {} : { throughputBudget: budget }
  const job = { name: 'pace', source: endpoint(from), destination: endpoint(to), update: 'merge', tables: ['c'], write }
  const report = await runJob({ policy: Policy.from(process.env), state, job: jobSchema.parse(job) })
  clearInterval(taking)
  await state.close()
  await Promise.all([from.close(), to.close()])
  rmSync(home, { recursive: true, force: true })
  if (report.rowsCopied !== count) throw new Error(JSON.stringify(report.errors))
  const seconds = (last - first) / 1000
  return { used: (own + others) / seconds / (share * parts.length), refused: refused / operations }
}

const percent = (value: number) => `${(value * 100).toFixed(1)} %`
const cases = [
  ['alone', undefined],
  ['another client takes half, from a third of the time on', { share: 0.5, partitions: [0, 1, 2] }],
  ['another client takes 80 % of one partition', { share: 0.8, partitions: [1] }],
] as const
const lines = ['| | used by both, of what these partitions give | operations refused |', '|---|---|---|']
for (const [name, other] of cases) {
  const { used, refused } = await measure(other && { share: other.share, partitions: [...other.partitions] })
  lines.push(`| ${name} | ${percent(used)} | ${percent(refused)} |`)
  console.log(lines.at(-1))
}
const { used, refused } = await measure(undefined, GIVEN / 4)
lines.push(`| alone, with a budget of 2,500 RU/s | ${percent(used)} | ${percent(refused)} |`)
console.log(lines.at(-1))
keep('pace', lines.join('\n'))
