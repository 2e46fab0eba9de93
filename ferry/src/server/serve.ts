/** A server from its start to its end: API and UI, the clock, and the processes that execute runs. */
import { writeFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import { FerryError } from '../errors.ts'
import { ALL_PATIENCE_MS, type ServerScouts } from '../facades/looks.ts'
import { Policy } from '../policy.ts'
import { Clock } from '../runtime/clock.ts'
import { Dispatcher } from '../runtime/dispatcher.ts'
import { limitTo } from '../runtime/folders.ts'
import { Scouts } from '../runtime/scouts.ts'
import { openSqliteBeside } from '../state/beside.ts'
import { openState, type State } from '../state/database.ts'
import { forgetAudit, forgetRuns } from '../state/history.ts'
import { forgetPipelineRuns } from '../state/pipelines.ts'
import { listTokens, makeToken, removeToken } from '../state/tokens.ts'
import { type Log, makeLog } from '../telemetry/log.ts'
import { makeMetrics } from '../telemetry/metrics.ts'
import { makeApp } from './app.ts'
import { findServer, leaveBeacon, removeBeacon, tokenFile } from './beacon.ts'
import { Events } from './events.ts'
import { FactoryWorkers } from './factoryworkers.ts'

export interface ServeOptions {
  host: string
  /** 0 takes one that is free. */
  port: number
  /** Folders of file connections; the current one where none is given. */
  folders: string[]
  /** Names of variables that jobs and connections may take from the environment. */
  variables: string[]
  allowedHosts: string[]
  /** Where browsers come in, when that is a proxy. */
  publicUrl?: string
  /** Runs at work at one time. */
  most: number
  /** Bytes of memory that the process of a run may have; half of what there is where omitted. */
  runMemory?: number
  /** Days that ended runs and the audit are kept. */
  keepDays: number
  logLevel: string
}

export interface Server {
  url: string
  /** The token that was made at this start; undefined where there was one already. */
  token: string | undefined
  stop(): Promise<void>
}

/** Among those who ask scouts; no caller has such a name. */
const CLOCK = ':clock'
const TICK_MS = 1000
const SWEEP_MS = 3600_000

export async function serve(options: ServeOptions): Promise<Server> {
  const limits = limitTo(Policy.from(process.env), options)
  const { policy } = limits
  const log = makeLog(options.logLevel)
  const state = await openState(process.env, openSqliteBeside)
  let stopping = false
  try {
    const other = process.env.FERRY_DATABASE_URL ? undefined : findServer(state.home)
    if (other && other.pid !== process.pid) {
      throw new FerryError(
        'FERRY-6007',
        `a server works with the state in ${state.home} already: ${other.url}, process ${other.pid}`,
        {
          hint: 'Use that one; or give this one a state of its own: --home FOLDER. Several share one in PostgreSQL.',
        },
      )
    }
    const dispatcher = new Dispatcher(state, log, policy, options.most, options.runMemory ?? memoryHere() / 2)
    const workers = new FactoryWorkers(state, log, policy, options.runMemory ?? memoryHere() / 2)
    const scouts: ServerScouts = new Scouts(log, policy, ALL_PATIENCE_MS)
    const events = new Events(state, log)
    const metrics = makeMetrics(state, { atWork: () => dispatcher.atWork, listeners: () => events.count })
    const publicUrl = options.publicUrl === undefined ? undefined : new URL(options.publicUrl)
    const app = await makeApp({
      state,
      policy,
      log,
      dispatcher,
      scouts,
      workers,
      events,
      metrics,
      hosts: hostsOf(options, publicUrl),
      secure: publicUrl?.protocol === 'https:',
      behindProxy: publicUrl !== undefined,
      isStopping: () => stopping,
    })
    await app.listen({ host: options.host, port: options.port }).catch(error => {
      throw new FerryError('FERRY-6007', `${options.host}:${options.port}: ${error.message}`, { cause: error })
    })
    // Printed only if it can be used.
    const token = await firstToken(state)
    const address = app.server.address() as { port: number }
    const shown = options.host === '0.0.0.0' || options.host === '::' ? '127.0.0.1' : options.host
    const own = `http://${shown.includes(':') ? `[${shown}]` : shown}:${address.port}`
    leaveBeacon(state.home, own)
    dispatcher.start()
    workers.start(publicUrl?.origin ?? own)
    const clock = startClock(
      new Clock(state, (endpoint, pattern) => scouts.ask('arrivals', { at: { endpoint }, pattern }, { by: CLOCK })),
      log,
      fired => {
        metrics.fired(fired)
        dispatcher.look()
      },
    )
    const sweeper = startSweeper(state, options.keepDays, log)
    log.info({ url: own, folders: policy.folders }, 'listening')
    return {
      url: publicUrl?.origin ?? own,
      token,
      stop: async () => {
        if (stopping) return
        stopping = true
        log.info('stopping')
        removeBeacon(state.home)
        await clock.stop()
        await sweeper.stop()
        scouts.stop()
        await Promise.all([dispatcher.stop(), workers.stop()])
        await app.close()
        await state.close()
        limits.close()
        log.info('stopped')
      },
    }
  } catch (error) {
    await state.close()
    limits.close()
    throw error
  }
}

function hostsOf({ host, allowedHosts }: ServeOptions, publicUrl: URL | undefined): Set<string> {
  const names = ['localhost', '127.0.0.1', '[::1]', ...allowedHosts]
  if (host !== '0.0.0.0' && host !== '::') names.push(host.includes(':') ? `[${host}]` : host)
  if (publicUrl) names.push(publicUrl.hostname)
  return new Set(names.map(name => name.toLowerCase()))
}

/** The token of the first start. It is also left where only its owner reads it, for the command line. */
async function firstToken(state: State): Promise<string | undefined> {
  if (process.env.FERRY_TOKEN) return undefined
  if ((await listTokens(state.db)).length > 0) return undefined
  const { token } = await makeToken(state.db, 'first', 'admin')
  try {
    writeFileSync(tokenFile(state.home), `${token}\n`, { mode: 0o600 })
  } catch (error) {
    await removeToken(state.db, 'first')
    throw error
  }
  return token
}

/** Ticks until it is stopped, never two at a time. */
function startClock(clock: Clock, log: Log, onFired: (name: string) => void): { stop: () => Promise<void> } {
  return repeat(TICK_MS, async () => {
    try {
      for (const { job, name, outcome, run } of await clock.tick()) {
        log.info({ job, run, by: name }, outcome)
        if (run) onFired(name)
      }
    } catch (error) {
      log.error({ err: error }, 'schedules and triggers cannot be looked at')
    }
  })
}

function startSweeper(state: State, keepDays: number, log: Log): { stop: () => Promise<void> } {
  return repeat(SWEEP_MS, async () => {
    const before = new Date(Date.now() - keepDays * 86_400_000)
    try {
      const forgotten = (await forgetRuns(state.db, before)) + (await forgetPipelineRuns(state.db, before))
      await forgetAudit(state.db, before)
      if (forgotten > 0) log.info({ runs: forgotten }, `runs older than ${keepDays} days are forgotten`)
    } catch (error) {
      log.error({ err: error }, 'old runs cannot be forgotten')
    }
  })
}

function repeat(ms: number, work: () => Promise<void>): { stop: () => Promise<void> } {
  const stop = new AbortController()
  const going = (async () => {
    while (!stop.signal.aborted) {
      await work()
      await setTimeout(ms, undefined, { signal: stop.signal }).catch(() => undefined)
    }
  })()
  return {
    stop: () => {
      stop.abort()
      return going
    },
  }
}

/** Bytes of memory of this machine, or of the container that this process is in. */
function memoryHere(): number {
  return Math.min(totalmem(), process.constrainedMemory() || Infinity)
}
