/** What triggers do: they are started, and make runs with the parameters that they give them. */
import type { Kysely } from 'kysely'
import { FerryError } from '../../errors.ts'
import type { Scope } from '../../pipelines/expressions/evaluate.ts'
import { type Value, type ValueObject, valueOf } from '../../pipelines/expressions/values.ts'
import { createRun, type Making } from '../../pipelines/make.ts'
import { bindParameters } from '../../pipelines/parameters.ts'
import { resolve } from '../../pipelines/resolve.ts'
import { type RunInfo, roundTrip } from '../../pipelines/values.ts'
import { beginWith, forgetSeen, isFirst, type Watcher } from '../../state/arrivals.ts'
import type { State } from '../../state/database.ts'
import type { PipelineRunRow, Schema } from '../../state/schema.ts'
import { databaseNow } from '../../state/time.ts'
import * as triggers from '../../state/triggers.ts'
import { arrivedBlobs } from './arrivals.ts'
import { keptSource, type Opened, requireRuns } from './source.ts'
import { readTrigger, type TriggeredPipeline, triggerFingerprint } from './triggers.ts'

/** A run that waits, with the parameters that a trigger gives it. */
export async function createTriggered(
  making: Making,
  { source }: Opened,
  {
    db,
    pipeline: { name, parameters },
    info,
    now,
  }: { db: Kysely<Schema>; pipeline: TriggeredPipeline; info: RunInfo['trigger']; now: number },
): Promise<PipelineRunRow> {
  const pipeline = making.program.pipeline(name)
  const trigger: ValueObject = {
    name: info.name,
    type: info.type,
    startTime: roundTrip(now),
    scheduledTime: info.scheduledTime ?? null,
    outputs: info.outputs ?? {},
  }
  const functions = new Map<string, () => Value>([
    ['trigger', () => trigger],
    ['triggerbody', () => (trigger.outputs as ValueObject).body ?? trigger.outputs!],
    ['triggeroutputs', () => trigger.outputs!],
  ])
  const scope: Scope = { functions }
  const given = resolve(valueOf(parameters), scope, `parameters of trigger ${info.name}`) as ValueObject
  const bound = bindParameters(`pipeline ${pipeline.name}`, pipeline.parameters, given)
  return createRun(making, pipeline.name, bound, { trigger: info, source: keptSource(source), queued: true }, db)
}

/** Starts a trigger from now on; a tumbling window trigger from its first window, or where it was stopped. */
export async function startTrigger({ state, ...opened }: Opened & { state: State }, name: string): Promise<void> {
  const { factory } = opened
  const artifact = factory.require('trigger', name)
  const trigger = readTrigger(artifact)
  for (const { name: pipeline } of trigger.pipelines) requireRuns(opened, factory.require('pipeline', pipeline).name)
  const now = await databaseNow(state.db)
  if (trigger.kind === 'blobs') {
    // What is there now has not arrived; what comes from now on has.
    const watcher = watcherOf(factory.name, artifact.name)
    await beginWith(state.db, watcher, await arrivedBlobs({ ...opened, state }, trigger), now)
  }
  await triggers.startTrigger(state.db, {
    factory: factory.name,
    name: artifact.name,
    fingerprint: triggerFingerprint(artifact),
    at: trigger.kind === 'tumbling' ? trigger.start : now,
    goesOn: trigger.kind === 'tumbling',
  })
}

/** Under what arrivals of a trigger are kept: no job has such a name. */
export const watcherOf = (factory: string, trigger: string): Watcher => ({
  job: `factory:${factory}`,
  name: `trigger:${trigger}`,
})

/** How long ids of events are kept: Event Grid sends an event again for a day at the most. */
const KEPT_MS = 7 * 86_400_000

/** An event as Event Grid sends it, in either of its forms. */
export interface GridEvent {
  /** Undefined for one that cannot be told from others. */
  id: string | undefined
  type: string
  subject: string
  /** The whole event, as it came. */
  event: Value
}

/** Makes the runs of a trigger by events for those that it is for; gives back their ids. Throws FERRY-1007, FERRY-7006. */
export async function fireEvents(
  making: Making,
  opened: Opened,
  name: string,
  events: readonly GridEvent[],
): Promise<string[]> {
  const { state } = making
  const { factory } = opened
  const artifact = factory.require('trigger', name)
  const trigger = readTrigger(artifact)
  if (trigger.kind !== 'events') throw new FerryError('FERRY-7006', `trigger ${artifact.name} does not wait for events`)
  const row = (await triggers.startedTriggers(state.db, factory.name)).find(t => t.name === artifact.name)
  if (!row) throw new FerryError('FERRY-1007', `trigger ${artifact.name} of ${factory.name} is not started`)
  const wanted = events.filter(
    e =>
      trigger.types.includes(e.type) &&
      e.subject.startsWith(trigger.subjectBeginsWith) &&
      e.subject.endsWith(trigger.subjectEndsWith),
  )
  const now = await databaseNow(state.db)
  // All of a call or none: who gets no answer sends it again.
  const made = await state.db.transaction().execute(async db => {
    const ids: string[] = []
    const watcher = watcherOf(factory.name, artifact.name)
    await forgetSeen(db, watcher, now - KEPT_MS)
    for (const { id, event } of wanted) {
      // Event Grid sends an event again whose answer it has not got.
      if (id !== undefined && !(await isFirst(db, watcher, id, now))) continue
      for (const pipeline of trigger.pipelines) {
        const outputs = { body: { event } }
        const info = {
          type: 'CustomEventsTrigger',
          name: artifact.name,
          id: artifact.name,
          scheduledTime: roundTrip(now),
          outputs,
        }
        ids.push((await createTriggered(making, opened, { db, pipeline, info, now })).id)
      }
    }
    return ids
  })
  if (made.length > 0)
    await triggers.tellOutcome(state.db, factory.name, artifact.name, `fired by an event: ${made.at(-1)}`)
  return made
}
