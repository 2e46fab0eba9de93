/** The state, open for as long as a command works with it. */
import { openState, type State } from '../state/database.ts'

export async function withState<T>(work: (state: State) => Promise<T>): Promise<T> {
  const state = await openState()
  try {
    return await work(state)
  } finally {
    await state.close()
  }
}
