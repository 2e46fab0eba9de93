/** `ferry factory-worker`: fires the triggers of one factory and executes its runs, for the server that has started it. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { keptFactory } from '../facades/datafactory/looks.ts'
import { Watch } from '../facades/datafactory/watch.ts'
import { guardNetwork } from '../network.ts'
import { Policy } from '../policy.ts'
import { CopierPool } from '../runtime/copier.ts'
import { findFactory } from '../state/factories.ts'
import { makeLog } from '../telemetry/log.ts'
import { MOST_COPIES } from './adf.ts'
import { withState } from './state.ts'

/** So long without anything to do it stays, for what may come next. */
const IDLE_MS = 20_000
const LOOK_MS = 2000

export default async function factoryWorker(
  [name]: string[],
  { callbacks, copyMemory, logLevel }: { callbacks: string; copyMemory: string; logLevel: string },
): Promise<void> {
  const log = makeLog(logLevel)
  guardNetwork()
  const stop = new AbortController()
  const onSignal = () => stop.abort('stop')
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  // A server that has crashed sends nothing, but its end of the pipe closes.
  process.once('disconnect', onSignal)
  const working = withState(async state => {
    // What activities get from services, and send to them, is kept there between two processes.
    const spool = join(state.home, 'spool')
    mkdirSync(spool, { recursive: true, mode: 0o700 })
    const policy = Policy.from(process.env).alsoIn(spool)
    const copier = new CopierPool(policy, MOST_COPIES, { mostMemory: Number(copyMemory) })
    try {
      const watch = await Watch.open({
        state,
        copier,
        callbacks,
        signal: stop.signal,
        open: () => keptFactory(state, policy, name!),
        onEvent: ({ trigger, outcome, run }) =>
          log.info({ factory: name, trigger: trigger || undefined, run }, outcome),
      })
      const watching = watch.run()
      for (let idle = 0; !stop.signal.aborted && idle < IDLE_MS; ) {
        await sleep(LOOK_MS, undefined, { signal: stop.signal }).catch(() => undefined)
        const isKept = await findFactory(state.db, name!).then(
          () => true,
          () => false,
        )
        idle = !isKept ? IDLE_MS : (await watch.isIdle()) ? idle + LOOK_MS : 0
      }
      stop.abort('stop')
      await watching
    } finally {
      await copier.close()
    }
  })
  // The pipe to the server would keep this process alive.
  await working.finally(() => {
    if (process.connected) process.disconnect()
  })
}
