import { startTrigger } from '../facades/datafactory/fire.ts'
import { Watch } from '../facades/datafactory/watch.ts'
import { CopierPool } from '../runtime/copier.ts'
import { findServer } from '../server/beacon.ts'
import { allTriggers, stopTrigger } from '../state/triggers.ts'
import { type FactoryOptions, MOST_COPIES, open } from './adf.ts'
import { policyOf } from './job.ts'
import { printJson, table } from './output.ts'
import { withState } from './state.ts'

type OfTriggers = FactoryOptions & { factory: string }

export async function triggers(_: string[], options: OfTriggers): Promise<void> {
  const { factory } = open(options.factory, options)
  const known = await withState(state => allTriggers(state.db, factory.name))
  const rows = factory.named('trigger').map(name => {
    const row = known.find(k => k.name === name)
    const { type } = factory.require('trigger', name).properties
    return {
      name,
      type: String(type),
      started: row?.started === 1,
      outcome: row?.outcome ?? '',
      outcomeAt: row?.outcome_at ?? null,
    }
  })
  if (options.json) return printJson(rows)
  if (rows.length === 0) return void process.stdout.write(`${factory.name} has no triggers.\n`)
  const lines = rows.map(r => [r.name, r.type, r.started ? 'started' : 'stopped', r.outcome])
  process.stdout.write(`${table(['trigger', 'type', 'state', 'last'], lines)}\n`)
}

export async function start([name]: string[], options: OfTriggers): Promise<void> {
  const opened = open(options.factory, options)
  await withState(state => startTrigger({ ...opened, state }, name!))
  process.stdout.write(`${name} is started: ferry adf watch fires it.\n`)
}

export async function stop([name]: string[], options: OfTriggers): Promise<void> {
  const { factory } = open(options.factory, options)
  const own = factory.require('trigger', name!).name
  const was = await withState(state => stopTrigger(state.db, factory.name, own))
  process.stdout.write(was ? `${own} is stopped.\n` : `${own} was not started.\n`)
}

export async function watch(_: string[], options: OfTriggers): Promise<void> {
  const policy = policyOf(options)
  await withState(async state => {
    const ended = new AbortController()
    const onSignal = () => ended.abort('stop')
    process.once('SIGINT', onSignal)
    process.once('SIGTERM', onSignal)
    const copier = new CopierPool(policy, MOST_COPIES)
    try {
      const watch = await Watch.open({
        state,
        copier,
        signal: ended.signal,
        open: async () => open(options.factory, options),
        callbacks: findServer(state.home)?.url,
        onEvent: event => {
          const { trigger, outcome, run: id } = event
          if (options.json) process.stdout.write(`${JSON.stringify(event)}\n`)
          else process.stderr.write(`${[trigger, outcome, id].filter(Boolean).join('  ')}\n`)
        },
      })
      process.stderr.write(`Watching the triggers of ${watch.name}.\n`)
      await watch.run()
    } finally {
      await copier.close()
    }
  })
}
