/** Changes by the log of a store: a copy that follows it is equal in the end, however often it was interrupted. */
import { expect, it } from 'vitest'
import { policy } from '../../../../test/support.ts'
import { runJob } from '../../runtime/run.ts'
import { completed, database, into, jobOf, newState, numbered, type Place, type Subject, source } from './subject.ts'

export function changes({ make }: Subject): void {
  const merge = async (place: Place, from: { endpoint: object }) =>
    completed(await newState(), into(place, from.endpoint, 'merge'))

  it('are copied by the log, each once', async () => {
    const place = await make()
    const from = source(200)
    await merge(place, from)
    const state = await newState()
    const back = database()
    const job = jobOf({
      source: place.endpoint,
      destination: back.endpoint,
      mode: 'incremental',
      update: 'merge',
      read: place.read ?? {},
      tables: [
        { from: place.object('copy'), to: 'back', keys: ['id'], columns: { id: 'id', n: 'n' }, tracking: 'cdc' },
      ],
    })
    const rows = () =>
      back.db
        .prepare('SELECT id, n FROM back')
        .all()
        .map(row => `${row.id} ${row.n}`)
        .sort()
    await completed(state, job)
    expect(rows()).toEqual(numbered(0, 200))
    from.add(50, 60, 1000)
    from.add(200, 230)
    await merge(place, from)
    // Interrupted as soon as it begins, as often as it takes.
    const stop = new AbortController()
    const interrupted = runJob({ policy, state, job, signal: stop.signal, onStart: () => stop.abort() })
    expect((await interrupted).status).toBe('paused')
    await completed(state, job)
    const wanted = [...numbered(0, 50), ...numbered(50, 60, 1000), ...numbered(60, 230)].sort()
    expect(rows()).toEqual(wanted)
    expect(await completed(state, job)).toMatchObject({ rowsCopied: 0 })
    expect(rows()).toEqual(wanted)
  })
}
