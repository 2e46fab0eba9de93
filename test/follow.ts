/**
 * Copies that follow their source while it is written to at random, and while their process is killed, servers crash and
 * connections break: source and destination are equal in the end.
 */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RunningAccount, ServerOptions } from 'cosmos-local'
import pg from 'pg'
import { expect, onTestFinished } from 'vitest'
import { type Connection, connect as connectMysql, query as queryMysql } from '../ferry/src/connectors/mysql/client.ts'
import { readSettings as mysqlSettings } from '../ferry/src/connectors/mysql/settings.ts'
import { account, contents, endpointOf, makeContainer } from './cosmos.ts'
import { randomOf } from './seed.ts'
import { startMariadb } from './servers/mariadb.ts'
import { type Server, startPostgres } from './servers/postgres.ts'
import { type RunningFerry, startFerry, temporaryFolder, until } from './support.ts'
import { passageTo } from './tcp.ts'

/** One side of a copy. */
export interface Side {
  endpoint: Record<string, unknown>
  /** Names of its tables in jobs. */
  object: (table: string) => string
  /** Each row as a text, sorted, the same for the same values on both sides. */
  rows: (table: string) => Promise<string[]>
  /** Breaks all connections of Ferry to it. */
  cut?: () => void
  /** Crashes it and starts it again. */
  crash?: () => Promise<void>
}

export interface WrittenSide extends Side {
  /** One random transaction, with new columns where the copy takes them. Throws where the server is away. */
  write: (random: () => number, evolves: Evolving) => Promise<void>
  /** Whether it changes no more by itself, when nobody writes. */
  isAtRest?: () => boolean
}

/** Whether the source gets new columns, and whether its older rows have values in them. */
export type Evolving = 'with values' | 'empty' | undefined

/** A table of the copy: its columns as texts, and what its mapping needs. */
export interface FollowedTable {
  name: string
  settings?: Record<string, unknown>
}

export const TABLES: FollowedTable[] = [{ name: 'plain' }, { name: 'pairs' }]

/** A row as a text, whatever the order of its columns; large values by their sum. */
function told(row: Record<string, unknown>): string {
  const text = (value: unknown) => {
    const whole = String(value)
    return whole.length > 100 ? createHash('md5').update(whole).digest('hex') : whole
  }
  const known = Object.entries(row).filter(([, value]) => value !== null && value !== undefined)
  return JSON.stringify(known.map(([name, value]) => [name, text(value)]).sort())
}

/** Random statements that PostgreSQL and MariaDB both understand, one transaction at a time. */
export function transaction(random: () => number, evolves: Evolving): string[] {
  const pick = (n: number) => Math.floor(random() * n)
  const id = () => 1 + pick(400)
  const text = () => `'${'xyz'[pick(3)]!.repeat(pick(20))} é''"'`
  const big = () => (pick(3) === 0 ? `'${String.fromCharCode(97 + pick(26)).repeat(3000 + pick(5000))}'` : text())
  const one = (): string => {
    switch (pick(8)) {
      case 0:
      case 1:
        return `INSERT INTO plain (id, v, big, n) SELECT ${id()}, ${text()}, ${big()}, ${pick(1e6)} / 100.0 FROM one WHERE NOT EXISTS (SELECT 1 FROM plain WHERE id = ${id()})`
      case 2:
        return `UPDATE plain SET v = ${text()} WHERE id = ${id()}`
      case 3:
        return `UPDATE plain SET big = ${big()}, n = n + 1 WHERE id BETWEEN ${id()} AND ${id()}`
      case 4:
        return `DELETE FROM plain WHERE id = ${id()}`
      case 5:
        return `INSERT INTO pairs (a, b, v) SELECT ${text()}, ${pick(40)}, ${text()} FROM one WHERE NOT EXISTS (SELECT 1 FROM pairs WHERE b = ${pick(40)})`
      case 6:
        return `UPDATE pairs SET b = b + 40 WHERE b = ${pick(120)} AND NOT EXISTS (SELECT 1 FROM one WHERE ${pick(5)} = 0)`
      default:
        return `DELETE FROM pairs WHERE b = ${pick(200)}`
    }
  }
  const moves =
    pick(6) === 0
      ? [
          `UPDATE plain SET id = id + 1000 WHERE id = ${id()}`,
          `UPDATE plain SET id = id - 1000 WHERE id = ${1000 + id()}`,
        ]
      : []
  // The source gets columns too, with what its older rows hold of them.
  const value = evolves === 'with values' ? ` DEFAULT ${pick(100)}` : ''
  const table = pick(2) === 0 ? 'plain' : 'pairs'
  const column =
    pick(60) === 0 && evolves ? [`ALTER TABLE ${table} ADD COLUMN IF NOT EXISTS c${pick(6)} int${value}`] : []
  const many = pick(40) === 0 ? [`UPDATE plain SET n = n + 0.01`, `UPDATE pairs SET v = ${text()}`] : []
  return [...Array.from({ length: 1 + pick(4) }, one), ...moves, ...many, ...column]
}

const SCHEMA = [
  'CREATE TABLE one (x int)',
  'INSERT INTO one VALUES (1)',
  'CREATE TABLE plain (id int PRIMARY KEY, v varchar(200), big text, n decimal(20,4))',
  'CREATE TABLE pairs (a varchar(200), b int, v varchar(200), PRIMARY KEY (a, b))',
]

/** A PostgreSQL of its own, reached by Ferry through a passage that can be cut. */
export async function ownPostgres(): Promise<
  WrittenSide & { server: Server; query: (sql: string) => Promise<pg.QueryResult> }
> {
  const server = await startPostgres({ fsync: 'off', wal_sender_timeout: '10s' })
  onTestFinished(() => server.stop())
  const passage = await passageTo(server.port)
  let client: pg.Client | undefined
  const connected = async () => {
    if (client) return client
    const made = new pg.Client({ connectionString: server.url() })
    made.on('error', () => {})
    await made.connect()
    client = made
    return made
  }
  onTestFinished(() => client?.end().catch(() => undefined))
  const query = async (sql: string) => {
    try {
      return await (await connected()).query(sql)
    } catch (error) {
      const { code } = error as { code?: string }
      if (code === undefined || !/^[0-9A-Z]{5}$/.test(code) || code.startsWith('57P')) client = undefined
      throw error
    }
  }
  return {
    server,
    query,
    endpoint: { kind: 'postgres', host: '127.0.0.1', port: passage.port, user: 'postgres', database: 'postgres' },
    object: table => `public.${table}`,
    rows: async table => {
      const { rows } = await query(`SELECT * FROM ${table}`)
      return rows.map(told).sort()
    },
    write: async (random, evolves) => {
      const statements = transaction(random, evolves)
      try {
        await query(`BEGIN; ${statements.join('; ')}; COMMIT`)
      } catch (error) {
        await query('ROLLBACK').catch(() => undefined)
        // Two rows of one key are the writer's own fault.
        if ((error as { code?: string }).code !== '23505') throw error
      }
    },
    cut: passage.cut,
    crash: () => server.restart('immediate'),
  }
}

export async function filledPostgres() {
  const side = await ownPostgres()
  for (const statement of SCHEMA) await side.query(statement)
  await side.query(
    `INSERT INTO plain SELECT i, 'v' || i, repeat('b', i * 20), i FROM generate_series(1, ${FRESH_ROWS}) i`,
  )
  await side.query(`INSERT INTO pairs SELECT 'a' || i, i, 'v' FROM generate_series(1, 100) i`)
  return side
}

/** Rows of `plain` that a copy begins with. */
export const FRESH_ROWS = 300

/** A MariaDB of its own, filled, reached by Ferry through a passage that can be cut. */
export async function filledMariadb(): Promise<WrittenSide> {
  const server = await startMariadb()
  onTestFinished(() => server.stop())
  const passage = await passageTo(server.port)
  const settings = { host: '127.0.0.1', user: 'root', database: 'shop' }
  let client: Connection | undefined
  const connected = async () => {
    client ??= await connectMysql(mysqlSettings({ ...settings, port: server.port }))
    return client
  }
  onTestFinished(() => client?.destroy())
  const query = async (sql: string) => {
    try {
      return await queryMysql(await connected(), sql)
    } catch (error) {
      const { errno } = error as { errno?: number }
      if (errno === undefined || errno === 1927 || errno === 1053) client = undefined
      throw error
    }
  }
  const admin = await connectMysql(mysqlSettings({ ...settings, port: server.port, database: undefined }))
  await queryMysql(admin, 'CREATE DATABASE shop')
  admin.destroy()
  for (const statement of SCHEMA) await query(statement.replace('big text', 'big mediumtext'))
  await query(`INSERT INTO plain SELECT seq, concat('v', seq), repeat('b', seq * 20), seq FROM seq_1_to_${FRESH_ROWS}`)
  await query(`INSERT INTO pairs SELECT concat('a', seq), seq, 'v' FROM seq_1_to_100`)
  return {
    endpoint: { kind: 'mysql', ...settings, port: passage.port },
    object: table => table,
    rows: async table => {
      return (await query(`SELECT * FROM ${table}`)).map(told).sort()
    },
    write: async (random, evolves) => {
      try {
        await query('START TRANSACTION')
        for (const statement of transaction(random, evolves)) await query(statement)
        await query('COMMIT')
      } catch (error) {
        await query('ROLLBACK').catch(() => undefined)
        if ((error as { errno?: number }).errno !== 1062) throw error
      }
    },
    cut: passage.cut,
    crash: () => server.restart('immediate'),
  }
}

const DOCUMENT_COLUMNS: Record<string, string[]> = {
  plain: ['id', 'v', 'big', 'n'],
  pairs: ['a', 'b', 'v', ...[0, 1, 2, 3, 4, 5].map(i => `c${i}`)],
  orders: ['id', 'customer', 'n'],
}

/** A local account; its containers are those of the tables. */
export async function ownAccount(
  containers: Record<string, string>,
  options: ServerOptions = {},
): Promise<Side & { running: RunningAccount }> {
  const running = await account(options)
  for (const [name, key] of Object.entries(containers)) makeContainer(running, name, key, { defaultTtl: -1 })
  running.inject({ probability: 0.02, status: 503 })
  running.inject({ probability: 0.02, drop: 'after' })
  return {
    running,
    endpoint: endpointOf(running),
    object: table => table,
    rows: async table =>
      [...contents(running, table).values()]
        .map(text => JSON.parse(text) as Record<string, unknown>)
        .map(d => told(Object.fromEntries(DOCUMENT_COLUMNS[table]!.map(name => [name, shown(table, name, d[name])]))))
        .sort(),
  }
}

/** A document's value as the rows of a database show it. */
function shown(table: string, name: string, value: unknown): unknown {
  if (value === null || value === undefined) return null
  if (name === 'n') return Number(value).toFixed(table === 'plain' ? 4 : 1)
  return String(value)
}

/** Writes all the time, whatever happens to the server; ends when it is told to. */
function writer(side: WrittenSide, random: () => number, evolves: Evolving) {
  let stopped = false
  let writes = 0
  const done = (async () => {
    while (!stopped) {
      try {
        await side.write(random, evolves)
        writes++
      } catch {
        await sleep(20)
      }
      await sleep(random() * 8)
    }
  })()
  return {
    stop: async () => {
      stopped = true
      await done
      return writes
    },
  }
}

/** Runs the job again and again through so many faults, and compares. */
export async function followThroughFaults(
  from: WrittenSide,
  to: Side,
  options: {
    seed: number
    faults: number
    job: Record<string, unknown>
    tables?: FollowedTable[]
    evolving?: Evolving
  },
): Promise<{ writes: number; faults: Record<string, number> }> {
  const home = temporaryFolder()
  const path = join(home, 'job.json')
  const online = options.job.mode === 'online'
  const followed = options.tables ?? TABLES
  const tables = followed.map(t => ({ from: from.object(t.name), to: to.object(t.name), ...t.settings }))
  const differing = () => differences(from, to, followed)
  const definition = {
    name: 'follow',
    source: from.endpoint,
    destination: to.endpoint,
    update: 'merge',
    tables,
    ...(options.evolving ? { drift: 'evolve' } : {}),
    ...options.job,
  }
  writeFileSync(path, JSON.stringify(definition))
  const random = randomOf(options.seed)
  const writing = writer(from, randomOf(options.seed + 1), options.evolving)
  onTestFinished(async () => void (await writing.stop()))
  const faults: Record<string, number> = {}
  const strikes: Record<string, (running: RunningFerry) => unknown> = {
    'kill -9': running => running.kill('SIGKILL'),
    ...(from.cut ? { 'source cut': () => from.cut!() } : {}),
    ...(to.cut ? { 'destination cut': () => to.cut!() } : {}),
    ...(from.crash ? { 'source crash': () => from.crash!() } : {}),
    ...(to.crash ? { 'destination crash': () => to.crash!() } : {}),
  }
  // Every second fault is the death of the process itself.
  const names = Object.keys(strikes)
  for (let hits = 0; hits < options.faults; ) {
    const running = startFerry(['run', path, '--quiet'], { home })
    const ended = { done: false }
    running.done.then(() => {
      ended.done = true
    })
    await sleep(250 + random() * 1200)
    if (ended.done) continue
    const name = random() < 0.4 ? 'kill -9' : names[Math.floor(random() * names.length)]!
    await strikes[name]!(running)
    faults[name] = (faults[name] ?? 0) + 1
    hits++
    if (online && name !== 'kill -9') await sleep(random() * 1000)
    // What has survived is ended with the next round, or by itself.
    if (online) running.kill('SIGKILL')
    await running.done
  }
  const writes = await writing.stop()
  if (from.isAtRest) await until(async () => from.isAtRest!(), 'the source at rest')
  let last = startFerry(['run', path, '--quiet', '--json'], { home })
  if (online) {
    const equal = async () => (await differing()).length === 0
    await until(equal, 'the copy caught up', 120_000)
    const told = await startFerry(['complete', 'follow'], { home }).done
    expect(told.code, told.stderr).toBe(0)
  }
  for (let tries = 0; ; tries++) {
    const { code, stderr, stdout } = await last.done
    if (code === 0) break
    if (tries > 3) throw new Error(`${stderr}\n${stdout}`)
    last = startFerry(['run', path, '--quiet', '--json'], { home })
  }
  if (!online) {
    const { code, stderr } = await startFerry(['run', path, '--quiet'], { home }).done
    expect(code, stderr).toBe(0)
  }
  expect(await differing()).toEqual([])
  return { writes, faults }
}

async function differences(from: Side, to: Side, tables: FollowedTable[]): Promise<string[]> {
  const found: string[] = []
  for (const { name: table } of tables) {
    const [a, b] = [await from.rows(table), await to.rows(table).catch(() => [])]
    const [inA, inB] = [new Set(a), new Set(b)]
    for (const row of a) if (!inB.has(row)) found.push(`${table}: only at the source: ${row.slice(0, 100)}`)
    for (const row of b) if (!inA.has(row)) found.push(`${table}: only at the destination: ${row.slice(0, 100)}`)
    if (a.length !== b.length) found.push(`${table}: ${a.length} and ${b.length} rows`)
  }
  return found
}
