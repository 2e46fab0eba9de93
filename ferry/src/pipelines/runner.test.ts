/** The control flow of pipelines: order, outcomes, loops, retries, and going on after a process has ended. */
import { describe, expect, it } from 'vitest'
import { FerryError } from '../errors.ts'
import type { ActivityKind } from './activity.ts'
import { problemsOf, readPipeline } from './check.ts'
import { ActivityFailure } from './errors.ts'
import { type Value, type ValueObject, valueOf } from './expressions/values.ts'
import { MemoryJournal } from './journal.ts'
import { type Host, runPipeline } from './runner.ts'
import type { RunInfo } from './values.ts'

const INFO: RunInfo = {
  id: '0190a1b2-0000-7000-8000-000000000001',
  groupId: '0190a1b2-0000-7000-8000-000000000001',
  factory: 'test',
  startedAt: Date.parse('2024-01-31T08:00:00Z'),
  trigger: { type: 'Manual', name: 'Manual', id: 'Manual' },
}

/** An activity that acts outside: it says that it ran, and fails where it is told to. */
function probe(ran: string[], dies?: (key: string) => boolean): ActivityKind {
  return {
    type: 'Probe',
    isOutside: true,
    async run(context) {
      const says = context.property('says') ?? context.activity.name
      if (dies?.(context.key)) throw new FerryError('FERRY-5004', 'the process is gone')
      ran.push(String(says))
      if (context.property('fails') === true || context.property('failsUntil') === BigInt(context.attempt)) {
        throw new ActivityFailure('42', `${context.activity.name} has failed`)
      }
      return { says }
    },
  }
}

interface Setting {
  parameters?: ValueObject
  journal?: MemoryJournal
  dies?: (key: string) => boolean
}

async function run(
  properties: Record<string, unknown>,
  { parameters = {}, journal = new MemoryJournal(), dies }: Setting = {},
) {
  const ran: string[] = []
  const kind = probe(ran, dies)
  const host: Host = {
    kind: type => (type === 'Probe' ? kind : undefined),
    globalParameters: { zone: 'eu' },
    shownParameters: (_, parameters) => parameters,
    runPipeline: async () => ({}),
  }
  const pipeline = readPipeline('p', properties)
  const end = await runPipeline(pipeline, parameters, {
    info: INFO,
    host,
    journal,
    signal: new AbortController().signal,
  })
  return { end, ran, journal }
}

const after = (activity: string, ...dependencyConditions: string[]) => [{ activity, dependencyConditions }]
const act = (name: string, more: object = {}, typeProperties: object = {}) => ({
  name,
  type: 'Probe',
  typeProperties,
  ...more,
})
const set = (variableName: string, value: unknown, more: object = {}) => ({
  name: `set ${variableName}`,
  type: 'SetVariable',
  typeProperties: { variableName, value },
  ...more,
})

/** What a pipeline gives back, by a last activity that returns an expression. */
const returns = (content: string, more: object = {}) => ({
  name: 'returns',
  type: 'SetVariable',
  typeProperties: {
    variableName: 'pipelineReturnValue',
    setSystemVariable: true,
    value: [{ key: 'v', value: { type: 'Expression', content } }],
  },
  ...more,
})

async function returned(
  activities: object[],
  more: Record<string, unknown> = {},
  setting: Setting = {},
): Promise<Value> {
  const { end } = await run({ activities, ...more }, setting)
  expect(end.error?.message).toBeUndefined()
  return (end.returnValue as ValueObject).v!
}

describe('the outcome of a pipeline', () => {
  const fails = { fails: true }
  const outcomes: [string, object[], string][] = [
    ['try and catch', [act('a', {}, fails), act('b', { dependsOn: after('a', 'Failed') })], 'Succeeded'],
    [
      'do, if, else, where it fails',
      [
        act('a', {}, fails),
        act('b', { dependsOn: after('a', 'Succeeded') }),
        act('c', { dependsOn: after('a', 'Failed') }),
      ],
      'Failed',
    ],
    [
      'do, if, else, where it succeeds',
      [act('a'), act('b', { dependsOn: after('a', 'Succeeded') }), act('c', { dependsOn: after('a', 'Failed') })],
      'Succeeded',
    ],
    [
      'do, if, skip, else',
      [
        act('a', {}, fails),
        act('b', { dependsOn: after('a', 'Succeeded') }),
        act('d', { dependsOn: after('b', 'Skipped') }),
        act('c', { dependsOn: after('a', 'Failed') }),
      ],
      'Succeeded',
    ],
    ['a failure behind which nothing comes', [act('a', {}, fails)], 'Failed'],
    [
      'a failure that something comes behind in any case',
      [act('a', {}, fails), act('b', { dependsOn: after('a', 'Completed') })],
      'Succeeded',
    ],
    [
      'skipped behind a failure',
      [
        act('a', {}, fails),
        act('b', { dependsOn: after('a', 'Succeeded') }),
        act('c', { dependsOn: after('b', 'Succeeded') }),
      ],
      'Failed',
    ],
    [
      'a handler for all, by Failed and Skipped',
      [
        act('a', {}, fails),
        act('b', { dependsOn: after('a', 'Succeeded') }),
        act('h', { dependsOn: after('b', 'Failed', 'Skipped') }),
      ],
      'Succeeded',
    ],
    ['an inactive activity', [act('a', { state: 'Inactive', onInactiveMarkAs: 'Failed' }, fails)], 'Failed'],
    [
      'an inactive activity that counts as done',
      [act('a', { state: 'Inactive' }, fails), act('b', { dependsOn: after('a', 'Succeeded') })],
      'Succeeded',
    ],
  ]
  it.each(outcomes)('%s', async (_, activities, state) => {
    expect((await run({ activities })).end.state).toBe(state)
  })

  it('names the activity that it failed for, in the words of Data Factory', async () => {
    const { end } = await run({ activities: [act('copy orders', {}, { fails: true })] })
    expect(end.error).toMatchObject({
      activity: 'copy orders',
      message: 'Operation on target copy orders failed: copy orders has failed',
      error: { errorCode: '42', failureType: 'UserError', target: 'copy orders' },
    })
  })
})

describe('activities', () => {
  it('run in the order of their dependencies, whatever their order in the file', async () => {
    const { ran } = await run({
      activities: [
        act('c', { dependsOn: after('b', 'Succeeded') }),
        act('b', { dependsOn: after('a', 'Succeeded') }),
        act('a'),
      ],
    })
    expect(ran).toEqual(['a', 'b', 'c'])
  })

  it('are tried again as their policy says', async () => {
    const policy = { retry: 2, retryIntervalInSeconds: 0 }
    const { end, ran } = await run({ activities: [act('a', { policy }, { failsUntil: 1 })] })
    expect(end.state).toBe('Succeeded')
    expect(ran).toEqual(['a', 'a'])
    expect((await run({ activities: [act('a', { policy }, { fails: true })] })).ran).toEqual(['a', 'a', 'a'])
  })

  it('see parameters, variables, outputs, errors and the run itself', async () => {
    const activities = [
      act('a', {}, { says: "@concat(pipeline().parameters.name, '!')" }),
      act('b', { dependsOn: after('a', 'Succeeded') }, { fails: true }),
      returns(
        "@concat(activity('a').output.says, '/', activity('b').error.message, '/', activity('b').Status, '/', pipeline().Pipeline, '/', pipeline().globalParameters.zone, '/', pipeline().TriggerTime)",
        { dependsOn: after('b', 'Failed') },
      ),
    ]
    const value = await returned(
      activities,
      { parameters: { name: { type: 'String' } } },
      { parameters: { name: 'x' } },
    )
    expect(value).toBe('x!/b has failed/Failed/p/eu/2024-01-31T08:00:00.0000000Z')
  })

  it('set and append variables of their types', async () => {
    const more = { variables: { all: { type: 'Array' }, one: { type: 'String', defaultValue: 'x' } } }
    const loop = {
      name: 'loop',
      type: 'ForEach',
      typeProperties: {
        items: { value: '@range(1, 5)', type: 'Expression' },
        isSequential: true,
        activities: [
          { name: 'append', type: 'AppendVariable', typeProperties: { variableName: 'all', value: '@mul(item(), 2)' } },
        ],
      },
    }
    const activities = [
      loop,
      returns("@concat(variables('one'), join(variables('all'), ','))", { dependsOn: after('loop', 'Succeeded') }),
    ]
    expect(await returned(activities, more)).toBe('x2,4,6,8,10')
    const wrong = await run({ activities: [set('all', 'no list')], ...more })
    expect(wrong.end.error!.message).toMatch(/variable all has to be of the type Array, and is String "no list"/)
  })

  it('choose and repeat', async () => {
    const more = { variables: { n: { type: 'Integer', defaultValue: 0 }, m: { type: 'Integer', defaultValue: 0 } } }
    const activities = [
      {
        name: 'until',
        type: 'Until',
        typeProperties: {
          expression: { value: "@greaterOrEquals(variables('n'), 3)", type: 'Expression' },
          activities: [
            set('m', "@add(variables('n'), 1)"),
            { ...set('n', "@variables('m')"), dependsOn: after('set m', 'Succeeded') },
          ],
        },
      },
      {
        name: 'choose',
        type: 'Switch',
        dependsOn: after('until', 'Succeeded'),
        typeProperties: {
          on: { value: "@string(variables('n'))", type: 'Expression' },
          cases: [
            { value: '3', activities: [act('three')] },
            { value: '4', activities: [act('four')] },
          ],
          defaultActivities: [act('other')],
        },
      },
      {
        name: 'if',
        type: 'IfCondition',
        dependsOn: after('choose', 'Succeeded'),
        typeProperties: {
          expression: { value: "@bool('false')", type: 'Expression' },
          ifTrueActivities: [act('yes')],
          ifFalseActivities: [act('no')],
        },
      },
    ]
    const { end, ran } = await run({ activities, ...more })
    expect(end.error).toBeUndefined()
    expect(ran).toEqual(['three', 'no'])
  })

  it('filter', async () => {
    const filter = {
      name: 'f',
      type: 'Filter',
      typeProperties: { items: '@createArray(1,2,3,4,5,6)', condition: '@greater(item(),3)' },
    }
    expect(
      await returned([filter, returns("@activity('f').output.value", { dependsOn: after('f', 'Succeeded') })]),
    ).toEqual(valueOf([4, 5, 6]))
  })

  it('fail with the code and message that they are told', async () => {
    const fail = (typeProperties: object) => run({ activities: [{ name: 'f', type: 'Fail', typeProperties }] })
    expect((await fail({ message: "@concat('no ', 'rows')", errorCode: '500' })).end.error!.error).toMatchObject({
      errorCode: '500',
      message: 'no rows',
    })
    expect((await fail({ message: 'no rows', errorCode: 500 })).end.error!.error.errorCode).toBe('ErrorCodeNotString')
    expect((await fail({ errorCode: '500' })).end.error!.error.message).toBe("Fail message wasn't provided")
  })

  it('are stopped when their time is over', async () => {
    const waits = {
      name: 'w',
      type: 'Wait',
      typeProperties: { waitTimeInSeconds: 60 },
      policy: { timeout: '00:00:01' },
    }
    const { end } = await run({ activities: [waits] })
    expect(end.error!.error).toMatchObject({ errorCode: 'ActivityTimedOut' })
  })

  it('go on in a loop where one of them fails, and the loop fails', async () => {
    const loop = {
      name: 'loop',
      type: 'ForEach',
      typeProperties: {
        items: '@range(0, 6)',
        batchCount: 2,
        activities: [act('a', {}, { says: '@item()', fails: '@equals(item(), 2)' })],
      },
    }
    const { end, ran } = await run({ activities: [loop] })
    expect(ran.sort()).toEqual(['0', '1', '2', '3', '4', '5'])
    expect(end.error!.message).toBe('Operation on target loop failed: Operation on target a failed: a has failed')
  })
})

describe('a run whose process has ended', () => {
  it('goes on: nothing that ended runs again, and what was decided stays', async () => {
    const properties = {
      variables: { seen: { type: 'Array' }, n: { type: 'Integer', defaultValue: 3 } },
      activities: [
        act('first', {}, { says: '@guid()' }),
        {
          name: 'loop',
          type: 'ForEach',
          dependsOn: after('first', 'Succeeded'),
          typeProperties: {
            // The loop changes what its items were made of.
            items: "@range(0, variables('n'))",
            isSequential: true,
            activities: [
              set('n', 100),
              act('work', { dependsOn: after('set n', 'Succeeded') }, { says: "@concat('work ', item())" }),
              {
                name: 'note',
                type: 'AppendVariable',
                dependsOn: after('work', 'Succeeded'),
                typeProperties: { variableName: 'seen', value: '@item()' },
              },
            ],
          },
        },
        returns("@join(variables('seen'), ',')", { dependsOn: after('loop', 'Succeeded') }),
      ],
    }
    const all: string[] = []
    let journal = new MemoryJournal()
    let end: Awaited<ReturnType<typeof run>>['end'] | undefined
    for (let deaths = 0; !end; deaths++) {
      let left = deaths === 0 ? 0 : 1
      const dies = () => left-- <= 0
      const before = new MemoryJournal()
      for (const [key, record] of journal.records) {
        before.records.set(key, record)
        if (record.effect && record.state === 'Succeeded') before.effects.push(record.effect)
      }
      journal = before
      const once = await run(properties, { journal, dies }).catch(error => {
        if ((error as FerryError).code !== 'FERRY-5004') throw error
        return undefined
      })
      if (once) {
        end = once.end
        all.push(...once.ran)
      }
      expect(deaths).toBeLessThan(20)
    }
    expect((end.returnValue as ValueObject).v).toBe('0,1,2')
  })
})

describe('a pipeline that cannot run', () => {
  const known = { hasKind: (type: string) => type !== 'Unknown', globals: ['zone'] }
  const problems = (properties: Record<string, unknown>) =>
    problemsOf(readPipeline('p', properties), known).map(p => `${p.path}: ${p.message}`)

  it('is told with the place and the nearest name', () => {
    const parameters = { path: { type: 'String' } }
    const variables = { total: { type: 'String' } }
    expect(problems({ activities: [act('a', { dependsOn: after('bb', 'Succeeded') }), act('b')] })).toEqual([
      '$.properties.activities[0].dependsOn[0]: there is no activity bb beside a: did you mean b?',
    ])
    expect(problems({ parameters, activities: [act('a', {}, { says: '@pipeline().parameters.pth' })] })).toEqual([
      '$.properties.activities[0].typeProperties.says: pipeline p has no parameter pth: did you mean path?',
    ])
    expect(problems({ variables, activities: [act('a', {}, { says: "@variables('totl')" })] })[0]).toMatch(
      /did you mean total\?/,
    )
    expect(problems({ activities: [act('a', {}, { says: "@conact('x')" })] })[0]).toMatch(
      /no function conact: did you mean concat\?/,
    )
    expect(problems({ activities: [act('a', {}, { says: '@item()' })] })[0]).toMatch(/item\(\) is only there within/)
    expect(problems({ activities: [{ name: 'x', type: 'Unknown' }] })[0]).toMatch(/activities\[0\]\.type: Unknown/)
    expect(
      problems({
        activities: [
          act('a', { dependsOn: after('b', 'Succeeded') }),
          act('b', { dependsOn: after('a', 'Succeeded') }),
        ],
      })[0],
    ).toMatch(/wait for one another: a -> b -> a/)
    expect(problems({ activities: [act('a'), act('a')] })[0]).toMatch(/two activities are called a/)
    expect(problems({ activities: [act('a/b')] })[0]).toMatch(/has no slash/)
  })

  it('is refused with its parameters where they are wrong', async () => {
    const properties = { parameters: { n: { type: 'Int' } }, activities: [] }
    await expect(run(properties)).rejects.toThrow(/needs a value for its parameter n/)
    await expect(run(properties, { parameters: { n: 'x' } })).rejects.toThrow(
      /parameter n of pipeline p has to be of the type Int, and is String "x"/,
    )
    await expect(run(properties, { parameters: { m: 1n } })).rejects.toThrow(/has no parameter m: did you mean n\?/)
  })
})
