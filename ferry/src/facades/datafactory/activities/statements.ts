/** Activities that execute SQL: Script and SqlServerStoredProcedure. */
import { FerryError } from '../../../errors.ts'
import type { ActivityContext, ActivityKind } from '../../../pipelines/activity.ts'
import { isObject, parseValue, type Value, type ValueObject } from '../../../pipelines/expressions/values.ts'
import { requireList, requireObject, requireText } from '../../../pipelines/resolve.ts'
import { jsonRows } from '../../../runtime/rows.ts'
import { type Surroundings, withStore } from '../context.ts'
import { endpointOf, serviceOf } from '../linkedservices.ts'
import { redirectedTable } from '../redirects.ts'

const MOST_ROWS = 5000
const MOST_BYTES = 2_000_000

function serviceAt({ factory, redirects }: Surroundings, { activity, scope }: ActivityContext) {
  if (!activity.linkedServiceName) throw new FerryError('FERRY-7001', `activity ${activity.name} has no linked service`)
  return serviceOf(factory, redirects, activity.linkedServiceName, scope)
}

export function scriptActivity(around: Surroundings): ActivityKind {
  return { type: 'Script', isOutside: true, run: context => script(around, context) }
}

async function script(around: Surroundings, context: ActivityContext): Promise<ValueObject> {
  const service = serviceAt(around, context)
  const scripts = requireList(context.property('scripts'), 'scripts').map((s, i) => requireObject(s, `scripts[${i}]`))
  context.told({ scripts })
  const resultSets: ValueObject[] = []
  let affected: bigint | undefined
  await withStore(around, endpointOf(service), async store => {
    for (const [i, one] of scripts.entries()) {
      const text = requireText(one.text, `scripts[${i}].text`)
      if (
        one.parameters !== undefined &&
        one.parameters !== null &&
        requireList(one.parameters, `scripts[${i}].parameters`).length > 0
      ) {
        throw new FerryError(
          'FERRY-7006',
          `scripts[${i}] has parameters: put their values into the text by an expression`,
        )
      }
      if (String(one.type ?? 'Query') === 'Query') {
        const { rows, more } = await jsonRows(
          store,
          { object: 'query', query: text, options: {} },
          { most: MOST_ROWS, bytes: MOST_BYTES },
        )
        if (more) throw new FerryError('FERRY-7008', `scripts[${i}] gives more than ${MOST_ROWS} rows`)
        resultSets.push({ rowCount: BigInt(rows.length), rows: rows.map(row => parseValue(row)) })
        continue
      }
      if (!store.statements) throw new FerryError('FERRY-7006', `${store.label} executes no statements`)
      const count = await store.statements.execute(text)
      if (count !== undefined) affected = (affected ?? 0n) + BigInt(count)
    }
  })
  return {
    resultSetCount: BigInt(resultSets.length),
    ...(affected === undefined ? {} : { recordsAffected: affected }),
    resultSets,
    effectiveIntegrationRuntime: 'Ferry',
  }
}

export function storedProcedureActivity(around: Surroundings): ActivityKind {
  return { type: 'SqlServerStoredProcedure', isOutside: true, run: context => storedProcedure(around, context) }
}

async function storedProcedure(around: Surroundings, context: ActivityContext): Promise<ValueObject> {
  const service = serviceAt(around, context)
  const written = requireText(context.property('storedProcedureName'), 'storedProcedureName').replaceAll(/[[\]]/g, '')
  const [name, schema] = written.split('.').reverse()
  const procedure = service.redirect ? redirectedTable(service.redirect, schema, name!) : written
  const given = context.property('storedProcedureParameters')
  const parameters = Object.entries(isObject(given) ? given : {}).map(([key, p]) => ({
    name: key,
    value: scalar(isObject(p) ? (p.value ?? null) : p, key),
  }))
  context.told({ storedProcedureName: procedure, storedProcedureParameters: given ?? {} })
  await withStore(around, endpointOf(service), async store => {
    if (!store.statements) throw new FerryError('FERRY-7006', `${store.label} calls no procedures`)
    await store.statements.call(procedure, parameters)
  })
  return { effectiveIntegrationRuntime: 'Ferry' }
}

function scalar(value: Value, name: string): string | number | bigint | boolean | null {
  if (value === null || typeof value !== 'object') return value
  throw new FerryError('FERRY-7003', `the parameter ${name} of the procedure is a list or an object`)
}
