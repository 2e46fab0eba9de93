/** Executes the copies that the process which has started it sends, one at a time; ends with it. */
import { asFerryError } from '../errors.ts'
import { guardNetwork } from '../network.ts'
import { Policy } from '../policy.ts'
import { leave } from '../program.ts'
import type { Answer, Order } from '../runtime/copier.ts'
import { runJob } from '../runtime/run.ts'
import { openState } from '../state/database.ts'

export default async function copier(): Promise<void> {
  // Who has asked may be gone.
  const tell = (answer: Answer) => process.send?.(answer, undefined, undefined, () => {})
  // Who has asked is gone: what is committed stays, and is gone on with later.
  process.once('disconnect', leave)
  // The terminal's signals are for the process that this one works for.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => {})
  if (Policy.from(process.env).isLimited) guardNetwork()
  const state = await openState()
  let stop = new AbortController()
  process.on('message', async (order: Order) => {
    if ('stop' in order) {
      stop.abort('stop')
      return
    }
    stop = new AbortController()
    try {
      const policy = Policy.from(process.env).withValues(order.values)
      const report = await runJob({
        state,
        job: order.job,
        policy,
        oneOff: true,
        signal: stop.signal,
        onStart: run => tell({ started: run.id }),
      })
      tell({ report })
    } catch (error) {
      const { code, message, hint } = asFerryError(error)
      tell({ error: { code, message, hint } })
    }
  })
  tell({ ready: true })
}
