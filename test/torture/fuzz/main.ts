/**
 * `npm run fuzz -- --seed N --cases N --format csv|json|parquet [--to NAME,...]`: copies random files to
 * every destination and compares what arrived with what an independent reader sees. One case follows from its seed
 * alone: `--seed N --cases 1` repeats it.
 *
 * The Python of `--python` needs pyarrow and numpy; without one they are installed into an environment of its own.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { openState } from '../../../ferry/src/state/database.ts'
import { pythonWith } from '../../clients/python.ts'
import { startPostgres } from '../../servers/postgres.ts'
import { attempt, type Outcome } from './attempt.ts'
import { type Case, writeCase } from './case.ts'
import { csvCase } from './csv.ts'
import { type Destination, destinations, NAMES, Postgres } from './destinations.ts'
import { jsonCase } from './json.ts'
import { minimise } from './minimise.ts'
import { parquetCase } from './parquet.ts'
import { Random } from './random.ts'
import { Reader } from './reader.ts'

const { values: args } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    cases: { type: 'string', default: '100' },
    format: { type: 'string' },
    to: { type: 'string', default: NAMES.join(',') },
    python: { type: 'string' },
    port: { type: 'string' },
    /** Kinds of faults that are not reported: a regular expression. */
    except: { type: 'string' },
    /** Of each kind of fault so many cases are made small and kept. */
    keep: { type: 'string', default: '2' },
  },
})

const GENERATORS = { csv: csvCase, json: jsonCase, parquet: parquetCase }
const formats = args.format ? [args.format as keyof typeof GENERATORS] : (['csv', 'json', 'parquet'] as const)
const wanted = args.to.split(',')
const firstSeed = Number(args.seed)
const cases = Number(args.cases)
const except = args.except === undefined ? undefined : new RegExp(args.except)

const work = mkdtempSync(join(tmpdir(), 'ferry-fuzz-'))
const findings = mkdtempSync(join(tmpdir(), 'ferry-fuzz-faults-'))
const server = wanted.includes('postgres') ? await startPostgres(args.port ? { port: args.port } : {}) : undefined
const postgres = server ? await Postgres.connect(server.port) : undefined
const state = await openState({ FERRY_HOME: join(work, 'home') })
const requirements = join(import.meta.dirname, 'python', 'requirements.txt')
const reader = new Reader(args.python ?? (await pythonWith('fuzz', requirements)))
const watch = watchdog()

/** What was found: of each kind, how often, and the first seeds. */
const kinds = new Map<string, { count: number; seeds: number[]; to: Set<string>; detail: string; folder?: string }>()
let copies = 0
let refused = 0
let skipped = 0
let serial = 0
let now = ''

// A promise that nobody awaits must not end the fuzzer: it is a fault of the case at work.
process.on('unhandledRejection', error => record('unhandled rejection', Number(now.split(' ')[1]), String(error)))
process.on('uncaughtException', error => record('uncaught exception', Number(now.split(' ')[1]), String(error?.stack)))

const began = Date.now()
for (let i = 0; i < cases; i++) {
  for (const format of formats) await runCase(format, firstSeed + i)
}
const seconds = (Date.now() - began) / 1000

report()
watch.terminate()
reader.close()
await state.close()
await postgres?.close()
await server?.stop()
rmSync(work, { recursive: true, force: true })
process.exit(kinds.size > 0 ? 1 : 0)

async function runCase(format: keyof typeof GENERATORS, seed: number): Promise<void> {
  const made = GENERATORS[format](seed, new Random(seed))
  now = `${format} ${seed}`
  watch.postMessage(now)
  const outcomes = await outcomesOf(made, wanted)
  if (!outcomes) {
    skipped++
    return
  }
  for (const [name, outcome] of outcomes) {
    copies++
    if (outcome.refused.length > 0) refused++
    const faults = outcome.faults.filter(f => !except?.test(f.kind))
    if (faults.length > 0) await fail(made, name, { ...outcome, faults })
  }
}

/** What became of a case at each destination; undefined where its files cannot be made. */
async function outcomesOf(c: Case, names: readonly string[]): Promise<Map<string, Outcome> | undefined> {
  const folder = join(work, `case${serial++}`)
  const source = join(folder, 'source')
  mkdirSync(source, { recursive: true })
  try {
    const written = await writeCase(c, source, reader).catch(error => error as Error)
    if (written instanceof Error) return undefined
    const read = await reader.read(c, written)
    const invalid = 'invalid' in read ? read.invalid : undefined
    const found = new Map<string, Outcome>()
    for (const destination of destinations(join(folder, 'out'), names, postgres!)) {
      found.set(destination.name, await outcomeOf(c, source, invalid, destination))
    }
    return found
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function outcomeOf(
  c: Case,
  source: string,
  invalid: string | undefined,
  destination: Destination,
): Promise<Outcome> {
  watch.postMessage(`${now} to ${destination.name}`)
  let outcome: Outcome
  try {
    outcome = await attempt(c, source, invalid, destination, { reader, state })
  } catch (error) {
    outcome = { refused: [], faults: [{ kind: 'the fuzzer failed', detail: String((error as Error).stack) }] }
  }
  await destination.remove?.().catch(error => {
    outcome.faults.push({ kind: 'connection left open', detail: (error as Error).message })
  })
  return outcome
}

async function fail(c: Case, name: string, outcome: Outcome): Promise<void> {
  const [fault] = outcome.faults
  const kind = `${c.format}: ${outcome.faults
    .map(f => f.kind)
    .filter((k, i, all) => all.indexOf(k) === i)
    .join(' + ')}`
  const known = record(
    kind,
    c.seed,
    `${fault!.detail}  [${c.oddities.join(', ')}] read ${JSON.stringify(c.read)}`,
    name,
  )
  if (known.count > Number(args.keep)) return
  const small = await minimise(c, async smaller => {
    watch.postMessage(now)
    const again = (await outcomesOf(smaller, [name]))?.get(name)
    return again?.faults.some(f => f.kind === fault!.kind) ?? false
  })
  const folder = join(findings, `${c.format}-${c.seed}-${name}`)
  mkdirSync(folder, { recursive: true })
  await writeCase(small, folder, reader)
  const job = { source: folder, tables: [{ from: c.object, read: c.read }] }
  const about = { kind, faults: outcome.faults, oddities: c.oddities, job, csv: c.csv, repeat: repeatOf(c, name) }
  writeFileSync(join(folder, 'about.txt'), `${JSON.stringify(about, null, 2)}\n`)
  known.folder = folder
  process.stdout.write(
    `${c.format} seed ${c.seed} to ${name}: ${kind}\n    ${fault!.detail.slice(0, 300).replaceAll('\n', ' ')}\n    ${folder}\n`,
  )
}

function repeatOf(c: Case, name: string): string {
  return `npm run fuzz -- --seed ${c.seed} --cases 1 --format ${c.format === 'jsonl' ? 'json' : c.format} --to ${name}`
}

function record(kind: string, seed: number, detail: string, to?: string) {
  const entry = kinds.get(kind) ?? { count: 0, seeds: [], to: new Set(), detail }
  kinds.set(kind, entry)
  entry.count++
  if (to) entry.to.add(to)
  if (entry.seeds.length < 8 && !entry.seeds.includes(seed)) entry.seeds.push(seed)
  return entry
}

function report(): void {
  const lines = [...kinds].sort(([, a], [, b]) => b.count - a.count)
  for (const [kind, { count, seeds, to, detail, folder }] of lines) {
    process.stdout.write(
      `\n${count} x ${kind}\n    to ${[...to].join(', ')}; seeds ${seeds.join(', ')}\n    ${detail.slice(0, 400).replaceAll('\n', ' ')}\n    ${folder ?? ''}\n`,
    )
  }
  const rate = ((cases * formats.length) / seconds).toFixed(1)
  process.stdout.write(
    `\n${cases * formats.length} cases (${skipped} could not be made), ${copies} copies, ${refused} refused, ${kinds.size} kinds of faults, ` +
      `${seconds.toFixed(0)} s, ${rate} cases/s\n`,
  )
}

/** Ends the process where one case blocks it for longer than a minute: a loop that never ends cannot be interrupted. */
function watchdog(): Worker {
  const code = `
    const { parentPort } = require('node:worker_threads')
    let current, since = Date.now()
    parentPort.on('message', name => { current = name; since = Date.now() })
    setInterval(() => {
      if (Date.now() - since < 200_000) return
      require('node:fs').writeSync(2, 'hang: ' + current + '\\n')
      process.kill(process.pid, 'SIGKILL')
    }, 1000)`
  const worker = new Worker(code, { eval: true })
  worker.unref()
  return worker
}
