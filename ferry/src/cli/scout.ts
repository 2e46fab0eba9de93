/** `ferry scout`: looks into stores for the server that started it. */
import { asFerryError } from '../errors.ts'
import { guardNetwork } from '../network.ts'
import { type LookName, type Looks, look } from '../runtime/looks.ts'
import type { Told } from '../runtime/scouts.ts'
import { openState } from '../state/database.ts'

export default async function scout(): Promise<void> {
  if (!process.send) return
  guardNetwork()
  const state = openState()
  process.on('message', async ({ id, name, ask }: { id: number; name: LookName; ask: Looks[LookName]['ask'] }) => {
    const told: Told = await look(await state, name, ask).then(
      answer => ({ id, answer }),
      error => {
        const { code, message, hint } = asFerryError(error)
        return { id, error: { code, message, hint } }
      },
    )
    process.send!(told)
  })
  // The server has ended.
  process.once('disconnect', () => process.exit(0))
  await state
  await new Promise(() => {})
}
