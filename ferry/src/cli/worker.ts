/** `ferry worker`: executes runs that wait in the queue. The server starts one with `--once` for each run. */
import { setTimeout } from 'node:timers/promises'
import { FerryError } from '../errors.ts'
import { guardNetwork } from '../network.ts'
import { Policy } from '../policy.ts'
import { limitTo } from '../runtime/folders.ts'
import { executeNext } from '../runtime/worker.ts'
import { makeLog } from '../telemetry/log.ts'
import { withState } from './state.ts'

const LOOK_MS = 500

export default async function worker(
  _: string[],
  options: { once?: boolean; most: number; logLevel: string; folder?: string[]; variable?: string[] },
): Promise<void> {
  const log = makeLog(options.logLevel)
  // A server has set the limits of those that it starts.
  const own = Policy.from(process.env)
  const limits = own.isLimited
    ? { policy: own, close: () => {} }
    : limitTo(own, { folders: options.folder ?? [], variables: options.variable ?? [] })
  guardNetwork()
  const stop = new AbortController()
  const onSignal = () => stop.abort()
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  // A server that has crashed sends nothing, but its end of the pipe closes.
  process.once('disconnect', onSignal)
  const working = withState(async state => {
    while (!stop.signal.aborted) {
      const result = await executeNext(state, {
        policy: limits.policy,
        signal: stop.signal,
        most: options.most,
        onClaim: (lease, job) => {
          process.send?.({ claimed: lease })
          log.info({ run: lease.run, job }, 'begins')
        },
      })
      if (result instanceof FerryError) log.warn({ code: result.code }, result.message)
      else if (result) log.info({ run: result.runId, job: result.job, rows: result.rowsCopied }, result.status)
      if (options.once) break
      if (result === undefined) await setTimeout(LOOK_MS, undefined, { signal: stop.signal }).catch(() => undefined)
    }
  })
  // The pipe to the server would keep this process alive.
  await working.finally(() => {
    limits.close()
    if (process.connected) process.disconnect()
  })
}
