/** The state, open for as long as a command works with it. */
import { ferryHome, openState, type State } from '../state/database.ts'

export async function withState<T>(work: (state: State) => Promise<T>): Promise<T> {
  const state = await openState()
  try {
    return await work(state)
  } finally {
    await state.close()
  }
}

/** Where jobs and runs are looked for, in words: a server, a database, or a folder. */
export function stateName(): string {
  if (process.env.FERRY_SERVER) return process.env.FERRY_SERVER
  return process.env.FERRY_DATABASE_URL ? 'the database of FERRY_DATABASE_URL' : ferryHome()
}
