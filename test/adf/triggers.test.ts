/** Triggers of a factory: fired by the clock of the test, their runs executed. */
import { describe, expect, it, onTestFinished } from 'vitest'
import { startTrigger } from '../../ferry/src/facades/datafactory/fire.ts'
import { openFactory, sourceSchema } from '../../ferry/src/facades/datafactory/source.ts'
import { Watch } from '../../ferry/src/facades/datafactory/watch.ts'
import { parseValue, plainOf } from '../../ferry/src/pipelines/expressions/values.ts'
import { CopierPool } from '../../ferry/src/runtime/copier.ts'
import { openState } from '../../ferry/src/state/database.ts'
import { listPipelineRuns } from '../../ferry/src/state/pipelines.ts'
import { allTriggers, lastWindows, stopTrigger } from '../../ferry/src/state/triggers.ts'
import { policy, temporaryFolder } from '../support.ts'
import { type Artifacts, writeFactory } from './factory.ts'

const HOUR = 3_600_000

/** A pipeline that returns what its trigger gave it; `fails` an expression for when it fails. */
const pipeline = (fails = '@false') => ({
  parameters: { a: { type: 'string' }, b: { type: 'string', defaultValue: '' } },
  activities: [
    {
      name: 'give',
      type: 'SetVariable',
      typeProperties: {
        variableName: 'pipelineReturnValue',
        setSystemVariable: true,
        value: [
          { key: 'a', value: { type: 'Expression', content: '@pipeline().parameters.a' } },
          { key: 'b', value: { type: 'Expression', content: '@pipeline().parameters.b' } },
          { key: 'type', value: { type: 'Expression', content: '@pipeline().TriggerType' } },
        ],
      },
    },
    {
      name: 'if',
      type: 'IfCondition',
      typeProperties: {
        expression: { value: fails, type: 'Expression' },
        ifTrueActivities: [{ name: 'no', type: 'Fail', typeProperties: { message: 'no', errorCode: '1' } }],
      },
    },
  ],
})

async function watching(artifacts: Artifacts, source: object = {}) {
  const home = temporaryFolder()
  const state = await openState({ FERRY_HOME: home })
  const copier = new CopierPool(policy, 1)
  onTestFinished(async () => {
    await copier.close()
    await state.close()
  })
  const place = writeFactory(artifacts)
  const open = () => openFactory(sourceSchema.parse({ factory: place, ...source }), policy)
  const events: string[] = []
  const make = () =>
    Watch.open({
      state,
      copier,
      open: async () => open(),
      signal: new AbortController().signal,
      onEvent: e => events.push(`${e.trigger}: ${e.outcome}`),
    })
  const watch = await make()
  const tick = async (at: number, by = watch) => {
    await by.tick(at)
    await by.settled()
  }
  const runs = async () =>
    (await listPipelineRuns(state.db, { limit: 100 })).reverse().map(r => ({
      state: r.state,
      ...(plainOf(parseValue(r.return_value ?? '{}')) as { a?: string; b?: string; type?: string }),
    }))
  return { state, ...open(), open, place, tick, runs, events, make }
}

describe('a schedule trigger', () => {
  const trigger = {
    type: 'ScheduleTrigger',
    pipelines: [
      {
        pipelineReference: { referenceName: 'p', type: 'PipelineReference' },
        parameters: { a: '@trigger().scheduledTime', b: 'x' },
      },
    ],
    typeProperties: {
      recurrence: { frequency: 'Hour', interval: 1, startTime: '2020-01-01T00:00:00Z', timeZone: 'UTC' },
    },
  }

  it('fires at its times, once for all who watch, and makes up for none that was missed', async () => {
    const w = await watching({ 'pipeline/p': pipeline(), 'trigger/t': trigger })
    await startTrigger(w, 't')
    const next = Math.floor(Date.now() / HOUR + 1) * HOUR
    await w.tick(next - 1000)
    expect(await w.runs()).toEqual([])
    const other = await w.make()
    await Promise.all([w.tick(next + 500), w.tick(next + 500, other)])
    const scheduled = new Date(next).toISOString().replace('Z', '0000Z')
    expect(await w.runs()).toEqual([{ state: 'Succeeded', a: scheduled, b: 'x', type: 'ScheduleTrigger' }])
    await w.tick(next + 5 * HOUR + 500)
    expect(await w.runs()).toHaveLength(2)
    expect(w.events.join('\n')).toMatch(/missed 4 times/)
  })

  it('is silent when it is stopped, and says so when it was edited', async () => {
    const w = await watching({ 'pipeline/p': pipeline(), 'trigger/t': trigger })
    await startTrigger(w, 't')
    await stopTrigger(w.state.db, w.factory.name, 't')
    const next = Math.floor(Date.now() / HOUR + 1) * HOUR
    await w.tick(next)
    expect(await w.runs()).toEqual([])
    await w.state.db.updateTable('pipeline_trigger').set({ started: 1, fingerprint: 'other' }).execute()
    await w.tick(next)
    expect((await allTriggers(w.state.db, w.factory.name))[0]!.outcome).toMatch(/FERRY-5009.*was edited/)
  })
})

describe('a tumbling window trigger', () => {
  const windows = (more: object = {}, referenceName = 'p') => ({
    type: 'TumblingWindowTrigger',
    pipeline: {
      pipelineReference: { referenceName, type: 'PipelineReference' },
      parameters: {
        a: "@formatDateTime(trigger().outputs.windowStartTime, 'HH:mm')",
        b: "@formatDateTime(trigger().outputs.windowEndTime, 'HH:mm')",
      },
    },
    typeProperties: {
      frequency: 'Hour',
      interval: 1,
      startTime: '2024-01-01T00:00:00Z',
      endTime: '2024-01-01T04:00:00Z',
      maxConcurrency: 2,
      ...more,
    },
  })
  const at = (text: string) => Date.parse(`2024-01-01T${text}:00Z`)

  it('goes through all windows since its start, oldest first, when their delay is over', async () => {
    const w = await watching({ 'pipeline/p': pipeline(), 'trigger/t': windows({ delay: '00:10:00' }) })
    await startTrigger(w, 't')
    await w.tick(at('01:05'))
    expect(await w.runs()).toEqual([])
    for (let i = 0; i < 4; i++) await w.tick(at('09:00'))
    expect(await w.runs()).toEqual(
      ['00:00', '01:00', '02:00', '03:00'].map((a, i) => ({
        state: 'Succeeded',
        a,
        b: `0${i + 1}:00`,
        type: 'TumblingWindowTrigger',
      })),
    )
    await w.tick(at('09:01'))
    expect((await lastWindows(w.state.db, w.factory.name, 't', 10)).map(r => r.state)).toEqual(
      Array(4).fill('Succeeded'),
    )
  })

  it('has windows of months: from the day of the first one, or from the last of a shorter month', async () => {
    const t = windows({
      frequency: 'Month',
      startTime: '2024-01-31T00:00:00Z',
      endTime: '2024-05-31T00:00:00Z',
      maxConcurrency: 5,
    })
    t.pipeline.parameters = {
      a: "@formatDateTime(trigger().outputs.windowStartTime, 'MM-dd')",
      b: "@formatDateTime(trigger().outputs.windowEndTime, 'MM-dd')",
    }
    const w = await watching({ 'pipeline/p': pipeline(), 'trigger/t': t })
    await startTrigger(w, 't')
    await w.tick(Date.parse('2024-04-29T00:00:00Z'))
    await w.tick(Date.parse('2025-01-01T00:00:00Z'))
    expect((await w.runs()).map(({ a, b }) => [a, b])).toEqual([
      ['01-31', '02-29'],
      ['02-29', '03-31'],
      ['03-31', '04-30'],
      ['04-30', '05-31'],
    ])
  })

  it('tries windows that failed again, as often as it says', async () => {
    const fails = pipeline("@equals(pipeline().parameters.a, '01:00')")
    const w = await watching({
      'pipeline/p': fails,
      'trigger/t': windows({ endTime: '2024-01-01T02:00:00Z', retryPolicy: { count: 2, intervalInSeconds: 30 } }),
    })
    await startTrigger(w, 't')
    for (let minute = 0; minute < 10; minute++) await w.tick(at(`09:0${minute}`))
    expect((await w.runs()).filter(r => r.a === '01:00').map(r => r.state)).toEqual(['Failed', 'Failed', 'Failed'])
    const [failed, done] = await lastWindows(w.state.db, w.factory.name, 't', 10)
    expect([failed!.state, failed!.attempts, done!.state]).toEqual(['Failed', 3, 'Succeeded'])
  })

  it('waits for the windows of others, and for its own earlier ones', async () => {
    const w = await watching({
      'pipeline/p': pipeline(),
      'pipeline/q': pipeline(),
      'trigger/first': windows({ endTime: '2024-01-01T02:00:00Z' }),
      'trigger/second': windows(
        {
          endTime: '2024-01-01T02:00:00Z',
          dependsOn: [
            {
              type: 'TumblingWindowTriggerDependencyReference',
              referenceTrigger: { referenceName: 'first', type: 'TriggerReference' },
            },
            { type: 'SelfDependencyTumblingWindowTriggerReference', offset: '-01:00:00', size: '01:00:00' },
          ],
        },
        'q',
      ),
    })
    await startTrigger(w, 'second')
    await w.tick(at('09:00'))
    expect(await w.runs()).toEqual([])
    await startTrigger(w, 'first')
    for (let i = 0; i < 6; i++) await w.tick(at('09:00'))
    expect(await w.runs()).toHaveLength(4)
    const windowsOf = async (name: string) =>
      (await lastWindows(w.state.db, w.factory.name, name, 10)).map(r => r.state)
    expect(await windowsOf('second')).toEqual(['Succeeded', 'Succeeded'])
  })
})
