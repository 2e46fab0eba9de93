/** `ferry doctor`: finds what prevents Ferry from working here, and what to do about it. */
import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { sql } from 'kysely'
import { FerryError } from '../errors.ts'
import { Policy } from '../policy.ts'
import { look } from '../runtime/looks.ts'
import { Seal } from '../secrets/seal.ts'
import { findServer } from '../server/beacon.ts'
import { uiFolder } from '../server/ui.ts'
import { listConnections } from '../state/connections.ts'
import { ferryHome, openState, type State } from '../state/database.ts'
import { isAlive } from '../state/owner.ts'
import { databaseNow } from '../state/time.ts'
import { EXIT, paint, printJson, size } from './output.ts'

interface Finding {
  what: string
  ok: boolean
  said: string
  hint?: string
}

const NODE = 24
/** Below this the disk is about to be full. */
const FREE_BYTES = 1_000_000_000

type Check = (state: State) => Promise<Finding | Finding[]>

const CHECKS: Check[] = [
  async () => {
    const major = Number(process.versions.node.split('.')[0])
    return finding('Node', major >= NODE, process.versions.node, `Ferry needs Node ${NODE} or later.`)
  },
  async ({ home }) => {
    accessSync(home, constants.W_OK)
    const open = process.platform !== 'win32' && (statSync(home).mode & 0o077) !== 0
    return finding('home', !open, `${home}${open ? ' may be read by others' : ''}`, `chmod 700 ${home}`)
  },
  async ({ home }) => {
    const { bavail, bsize } = statfsSync(home)
    const free = bavail * bsize
    return finding(
      'disk',
      free > FREE_BYTES,
      `${size(free)} free at ${home}`,
      'Make room: state, logs and skipped rows are here.',
    )
  },
  async ({ db }) => {
    const began = performance.now()
    await sql`SELECT 1`.execute(db)
    const { runs } = await db
      .selectFrom('run')
      .select(eb => eb.fn.countAll<number>().as('runs'))
      .executeTakeFirstOrThrow()
    const place = process.env.FERRY_DATABASE_URL === undefined ? 'state.db' : 'PostgreSQL'
    return finding('state', true, `${place}, ${runs} runs, answers in ${Math.ceil(performance.now() - began)} ms`)
  },
  async ({ home }) => {
    if (process.env.FERRY_KEY === undefined && !existsSync(join(home, 'key'))) {
      return finding('key', true, 'none yet: it is made with the first secret')
    }
    Seal.open(home)
    return finding('key', true, process.env.FERRY_KEY === undefined ? join(home, 'key') : 'FERRY_KEY')
  },
  async ({ home }) => {
    const server = findServer(home)
    if (!server) return finding('server', true, 'none is running with this state')
    const answer = await fetch(`${server.url}/readyz`).catch(() => undefined)
    const said = `${server.url}, process ${server.pid}`
    return finding(
      'server',
      answer?.ok === true,
      said,
      `It does not answer: look into its log, or end process ${server.pid}.`,
    )
  },
  async () =>
    finding('web UI', existsSync(join(uiFolder(), 'index.html')), uiFolder(), 'It is not built: npm run build'),
  async ({ db }) => {
    const rows = await db
      .selectFrom('run')
      .select(['id', 'job', 'state', 'queue', 'owner_pid', 'owner_host', 'owner_started', 'heartbeat_at'])
      .where('state', 'in', ['planning', 'running', 'completing'])
      .execute()
    const now = await databaseNow(db)
    const left = rows.filter(r => !isAlive(r, now))
    const names = left.map(r => `${r.id} of ${r.job}`).join(', ')
    return finding(
      'runs',
      left.length === 0,
      left.length === 0 ? 'none is left behind' : `left behind: ${names}`,
      'They go on with: ferry resume RUN; or with a server, by themselves.',
    )
  },
  async state => {
    const all = await listConnections(state.db)
    return Promise.all(
      all.map(async ({ name }) => {
        try {
          const said = await look({ state, policy: Policy.from(process.env) }, 'test', {
            at: { endpoint: { connection: name } },
          })
          return finding(`connection ${name}`, true, said)
        } catch (error) {
          return fault(`connection ${name}`, error)
        }
      }),
    )
  },
]

function finding(what: string, ok: boolean, said: string, hint?: string): Finding {
  return { what, ok, said, ...(ok || hint === undefined ? {} : { hint }) }
}

function fault(what: string, error: unknown): Finding {
  const { message } = error as Error
  if (error instanceof FerryError) return finding(what, false, `${error.code} ${message}`, error.hint)
  return finding(what, false, message)
}

export default async function doctor(_: string[], options: { json: boolean }): Promise<void> {
  const findings: Finding[] = []
  try {
    const state = await openState()
    try {
      for (const check of CHECKS) findings.push(...[await check(state).catch(e => fault('check', e))].flat())
    } finally {
      await state.close()
    }
  } catch (error) {
    findings.push(fault(`home ${ferryHome()}`, error))
  }
  if (options.json) printJson(findings)
  else {
    for (const { what, ok, said, hint } of findings) {
      const mark = ok ? paint('32', 'ok  ', process.stdout) : paint('31', 'FAIL', process.stdout)
      process.stdout.write(`${mark} ${what}: ${said}\n${hint ? `     ${hint}\n` : ''}`)
    }
  }
  process.exitCode = findings.every(f => f.ok) ? EXIT.done : EXIT.failed
}
