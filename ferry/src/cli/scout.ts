/** `ferry scout`: looks into stores for the server that started it. */
import { asFerryError, FerryError } from '../errors.ts'
import { type AllLooks, lookAt } from '../facades/looks.ts'
import { guardNetwork } from '../network.ts'
import { Policy } from '../policy.ts'
import { leave } from '../program.ts'
import type { ScoutAnswer } from '../runtime/scouts.ts'
import { openState } from '../state/database.ts'

export default async function scout(): Promise<void> {
  if (!process.send) return
  guardNetwork()
  const state = openState()
  const policy = Policy.from(process.env)
  let current: number | undefined
  // A driver that fails on a store's answer may throw outside of any call.
  process.on('uncaughtException', error => {
    const { message } = asFerryError(error)
    const { code, hint } = new FerryError('FERRY-2007', message)
    if (current === undefined) process.exit(1)
    process.send!({ id: current, error: { code, message, hint, faults: [] } } satisfies ScoutAnswer, () =>
      process.exit(1),
    )
  })
  process.on(
    'message',
    async ({ id, name, ask }: { id: number; name: keyof AllLooks; ask: AllLooks[keyof AllLooks]['ask'] }) => {
      current = id
      const answer: ScoutAnswer = await lookAt({ state: await state, policy }, name, ask).then(
        answer => ({ id, answer }),
        error => {
          const { code, message, hint, faults } = asFerryError(error)
          return { id, error: { code, message, hint, faults } }
        },
      )
      current = undefined
      process.send!(answer)
    },
  )
  // The server has ended.
  process.once('disconnect', leave)
  await state
  await new Promise(() => {})
}
