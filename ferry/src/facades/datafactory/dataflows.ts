/** Mapping data flows: their artifacts, and what they are called with. */
import { isCache } from '../../dataflow/cache.ts'
import { compile } from '../../dataflow/compile.ts'
import { type Plan, planFlow, requireGraph, sourcesOf } from '../../dataflow/plan.ts'
import { INLINE } from '../../dataflow/properties.ts'
import { type Flow, quietly, scopeOf } from '../../dataflow/relation.ts'
import { type Value as FlowValue, refused } from '../../dataflow/scope.ts'
import { parseExpression, parseScript } from '../../dataflow/script/parser.ts'
import type { Script } from '../../dataflow/script/tree.ts'
import { literal } from '../../dataflow/types.ts'
import { didYouMean, FerryError } from '../../errors.ts'
import type { Value, ValueObject } from '../../pipelines/expressions/values.ts'
import type { Reference } from '../../pipelines/model.ts'
import type { Artifact } from './artifacts.ts'

export interface DataFlow {
  name: string
  script: Script
  /** The datasets of sources and sinks by their streams. */
  datasets: ReadonlyMap<string, Reference>
  /** The linked services of those whose datasets lie in the script. */
  inline: ReadonlyMap<string, Reference>
}

/** Throws FERRY-7001, FERRY-7002 with the place in the script, FERRY-7006. */
export function readDataFlow({ name, properties, path }: Artifact): DataFlow {
  const { type, typeProperties } = properties as { type?: unknown; typeProperties?: Record<string, unknown> }
  if (type !== 'MappingDataFlow') {
    const why =
      type === 'Flowlet' ? 'flowlets do not run here' : `there is no data flow of the type ${String(type)} here`
    throw new FerryError('FERRY-7006', `dataflow ${name}: ${why}`)
  }
  const script = parseScript(scriptOf(name, typeProperties ?? {}))
  requireGraph(script)
  const datasets = new Map<string, Reference>()
  const inline = new Map<string, Reference>()
  for (const side of ['sources', 'sinks']) {
    const list = typeProperties?.[side]
    for (const one of Array.isArray(list) ? (list as Record<string, unknown>[]) : []) {
      const stream = String(one.name)
      const reference = one.dataset as Reference | undefined
      if (reference !== undefined && typeof reference.referenceName === 'string') datasets.set(stream, reference)
      else if (isReference(one.linkedService)) inline.set(stream, one.linkedService)
      else if (one.flowlet !== undefined)
        throw new FerryError('FERRY-7006', `dataflow ${name}: flowlets do not run here`)
    }
  }
  for (const { kind, output, args, ...place } of script.statements) {
    if ((kind !== 'source' && kind !== 'sink') || inline.has(output) || isCache({ kind, args })) continue
    const own = args.find(a => a.kind === 'property' && INLINE.includes(a.name))
    if (own?.kind === 'property' && datasets.has(output)) {
      throw refused(place, `${own.name} is of a dataset that lies in the script, and ${output} has one of the factory`)
    }
    if (datasets.has(output)) continue
    throw new FerryError(
      'FERRY-7001',
      `dataflow ${name}: the ${kind} ${output} has no dataset and no linked service (${path})`,
    )
  }
  return { name, script, datasets, inline }
}

const isReference = (value: unknown): value is Reference =>
  typeof (value as { referenceName?: unknown } | undefined)?.referenceName === 'string'

function scriptOf(name: string, { script, scriptLines }: Record<string, unknown>): string {
  if (Array.isArray(scriptLines)) return scriptLines.map(String).join('\n')
  if (typeof script === 'string') return script
  throw new FerryError('FERRY-7001', `dataflow ${name} has neither script nor scriptLines`)
}

/**
 * The queries of a flow by what its projections say, before anything is read; undefined where a source has none, and columns are known
 * when it is read. Throws FERRY-7002, FERRY-7003, FERRY-7006 with the place.
 */
export function plannedAhead({ script }: DataFlow, given?: ReadonlyMap<string, FlowValue>): Plan | undefined {
  const startedAt = new Date(0).toISOString()
  const isOpen = !given && script.parameters.some(p => p.default === undefined)
  if (isOpen || sourcesOf(script).some(s => !s.declared.isThere)) return undefined
  return planFlow({ script, parameters: given ?? new Map(), startedAt })
}

/** What an activity gives a flow: values of its parameters, and of those of its datasets. */
export interface FlowCall {
  /** Texts of expressions, or values. */
  parameters: ValueObject
  datasetParameters: ValueObject
}

/** Parameters of a flow as its activity gives them: texts are expressions of data flows. Throws FERRY-7003, FERRY-7004. */
export function flowParameters({ script }: DataFlow, given: ValueObject, startedAt: string): Map<string, FlowValue> {
  const flow = quietly({ parameters: new Map(), startedAt })
  return new Map(
    Object.entries(given).map(([name, value]): [string, FlowValue] => {
      const known = script.parameters.find(p => p.name.toLowerCase() === name.toLowerCase())
      if (!known) {
        const near = didYouMean(
          name,
          script.parameters.map(p => p.name),
        )
        throw new FerryError('FERRY-7004', `the data flow has no parameter ${name}${near}`)
      }
      return [known.name, parameterValue(name, value, flow)]
    }),
  )
}

function parameterValue(name: string, value: Value, flow: Flow): FlowValue {
  if (typeof value === 'boolean') return { sql: String(value), type: { kind: 'boolean' }, constant: String(value) }
  if (typeof value === 'bigint' || typeof value === 'number') {
    return compile(parseExpression(String(value)), scopeOf({ columns: [] }, flow))
  }
  if (Array.isArray(value) && value.every(v => typeof v === 'string')) {
    return {
      sql: `[${value.map(v => literal(String(v))).join(', ')}]`,
      type: { kind: 'array', of: { kind: 'string' } },
    }
  }
  if (typeof value !== 'string')
    throw new FerryError('FERRY-7004', `the parameter ${name} of the data flow is no text and no number`)
  try {
    return compile(parseExpression(value), scopeOf({ columns: [] }, flow))
  } catch (error) {
    throw new FerryError('FERRY-7003', `the parameter ${name} of the data flow: ${(error as Error).message}`, {
      hint: `A text of a data flow stands in quotes: '${value.slice(0, 50)}'.`,
    })
  }
}
