/** What is wrong with a pipeline, before anything of it runs. */
import { didYouMean, FerryError } from '../errors.ts'
import { compile } from './expressions/evaluate.ts'
import { callsIn, type Expression, expressionsIn, parseTemplate, type Template } from './expressions/parser.ts'
import { circleIn } from './graph.ts'
import { type Activity, activitySchema, childrenOf, type Pipeline, pipelineSchema } from './model.ts'

export interface Problem {
  /** The JSON path in the artifact: `$.properties.activities[2].typeProperties.items`. */
  path: string
  message: string
}

export interface Known {
  hasKind(type: string): boolean
  /** Names of global parameters. */
  globals: readonly string[]
}

/** How deep activities may lie in one another. */
const MOST_DEPTH = 50

/** Where expressions are: what they may refer to. */
interface Around {
  pipeline: Pipeline
  activities: ReadonlySet<string>
  hasItem: boolean
  known: Known
  problems: Problem[]
}

/** Reads a pipeline. Throws FERRY-7001 with the path of what is wrong. */
export function readPipeline(name: string, properties: unknown, place = '$.properties'): Pipeline {
  const result = pipelineSchema.safeParse(properties)
  if (result.success)
    return { ...result.data, name, activities: result.data.activities.map(a => withChildren(a, name)) }
  const [issue] = result.error.issues
  throw new FerryError('FERRY-7001', `pipeline ${name}: ${place}${pathText(issue!.path)}: ${issue!.message}`)
}

/** An activity whose inner activities are read too. */
function withChildren(activity: Activity, pipeline: string, depth = 0): Activity {
  if (depth > MOST_DEPTH) {
    throw new FerryError(
      'FERRY-7001',
      `pipeline ${pipeline}, activity ${activity.name}: activities lie more than ${MOST_DEPTH} deep in one another`,
    )
  }
  const children = childrenOf(activity)
  if (children.length === 0) return activity
  const typeProperties = structuredClone(activity.typeProperties)
  const read = (list: unknown, at: string) =>
    (list as unknown[]).map((one, i) => {
      const result = activitySchema.safeParse(one)
      if (result.success) return withChildren(result.data, pipeline, depth + 1)
      const [issue] = result.error.issues
      throw new FerryError(
        'FERRY-7001',
        `pipeline ${pipeline}, activity ${activity.name}: ${at}[${i}]${pathText(issue!.path)}: ${issue!.message}`,
      )
    })
  for (const { at, activities } of children) {
    const match = /^cases\[(\d+)\]/.exec(at)
    if (match) (typeProperties.cases as { activities: unknown }[])[Number(match[1])]!.activities = read(activities, at)
    else typeProperties[at] = read(activities, at)
  }
  return { ...activity, typeProperties }
}

const pathText = (path: readonly PropertyKey[]) =>
  path.map(p => (typeof p === 'number' ? `[${p}]` : `.${String(p)}`)).join('')

/** Everything that is wrong with a pipeline by itself. */
export function problemsOf(pipeline: Pipeline, known: Known, place = '$.properties'): Problem[] {
  const problems: Problem[] = []
  const activities = new Set<string>()
  const collect = (list: readonly Activity[], path: string) => {
    list.forEach((activity, i) => {
      if (activities.has(activity.name)) {
        problems.push({ path: `${path}[${i}].name`, message: `two activities are called ${activity.name}` })
      }
      if (activity.name.includes('/')) {
        problems.push({ path: `${path}[${i}].name`, message: `${activity.name}: the name of an activity has no slash` })
      }
      activities.add(activity.name)
      for (const child of childrenOf(activity)) {
        collect(child.activities as Activity[], `${path}[${i}].typeProperties.${child.at}`)
      }
    })
  }
  collect(pipeline.activities, `${place}.activities`)
  const around: Around = { pipeline, activities, hasItem: false, known, problems }
  checkList(pipeline.activities, `${place}.activities`, around)
  return problems
}

function checkList(list: readonly Activity[], path: string, around: Around): void {
  const { problems, known } = around
  const names = new Set(list.map(a => a.name))
  list.forEach((activity, i) => {
    const at = `${path}[${i}]`
    activity.dependsOn?.forEach((dependency, j) => {
      if (names.has(dependency.activity)) return
      const near = didYouMean(dependency.activity, names)
      problems.push({
        path: `${at}.dependsOn[${j}]`,
        message: `there is no activity ${dependency.activity} beside ${activity.name}${near}`,
      })
    })
    // What is inactive is neither run nor checked.
    if (activity.state === 'Inactive') return
    if (/^(Set|Append)Variable$/.test(activity.type) && activity.typeProperties.setSystemVariable !== true) {
      const { variableName } = activity.typeProperties
      const variables = Object.keys(around.pipeline.variables)
      if (typeof variableName === 'string' && !variableName.includes('@') && !has(variables, variableName)) {
        problems.push({
          path: `${at}.typeProperties.variableName`,
          message: `there is no variable ${variableName}${didYouMean(variableName, variables)}`,
        })
      }
    }
    if (!known.hasKind(activity.type)) {
      problems.push({ path: `${at}.type`, message: `${activity.type}: activities of this type do not run here` })
    }
    const children = childrenOf(activity)
    const own = new Set(children.map(c => c.at.replace(/\[.*/, '')))
    for (const [name, value] of Object.entries(activity.typeProperties)) {
      if (own.has(name)) continue
      const hasItem = around.hasItem || (activity.type === 'Filter' && name === 'condition')
      checkValue(value, `${at}.typeProperties.${name}`, { ...around, hasItem })
    }
    for (const key of ['linkedServiceName', 'inputs', 'outputs', 'policy', 'userProperties'] as const) {
      checkValue(activity[key], `${at}.${key}`, around)
    }
    for (const child of children) {
      const hasItem = around.hasItem || activity.type === 'ForEach'
      checkList(child.activities as Activity[], `${at}.typeProperties.${child.at}`, { ...around, hasItem })
    }
  })
  const circle = circleIn(list)
  if (circle) problems.push({ path, message: `activities wait for one another: ${circle.join(' -> ')}` })
}

/** Checks all expressions in a value. */
function checkValue(value: unknown, path: string, around: Around): void {
  if (typeof value === 'string') {
    checkText(value, path, around)
    return
  }
  if (typeof value !== 'object' || value === null) return
  if (Array.isArray(value)) {
    for (const [i, v] of value.entries()) checkValue(v, `${path}[${i}]`, around)
    return
  }
  for (const [name, v] of Object.entries(value)) checkValue(v, `${path}.${name}`, around)
}

function checkText(text: string, path: string, around: Around): void {
  if (!text.includes('@')) return
  let template: Template
  try {
    template = parseTemplate(text)
    compile(template)
  } catch (error) {
    around.problems.push({ path, message: (error as FerryError).message })
    return
  }
  const fault = (message: string) => around.problems.push({ path, message })
  for (const call of callsIn(template)) checkCall(call, around, fault)
  for (const [holder, name] of membersIn(template)) checkMember(holder, name, around, fault)
}

function checkCall(
  call: Extract<Expression, { kind: 'call' }>,
  around: Around,
  fault: (message: string) => void,
): void {
  const [argument] = call.args
  const named = argument?.kind === 'literal' && typeof argument.value === 'string' ? argument.value : undefined
  const { pipeline, activities, hasItem } = around
  switch (call.name.toLowerCase()) {
    case 'activity':
      if (named !== undefined && !activities.has(named))
        fault(`there is no activity ${named}${didYouMean(named, activities)}`)
      return
    case 'variables': {
      const names = Object.keys(pipeline.variables)
      if (named !== undefined && !has(names, named)) fault(`there is no variable ${named}${didYouMean(named, names)}`)
      return
    }
    case 'item':
      if (!hasItem) fault('item() is only there within a ForEach or a Filter')
      return
    case 'dataset':
    case 'linkedservice':
      fault(`${call.name}() is not there in a pipeline`)
  }
}

function checkMember(holder: Expression, name: string, around: Around, fault: (message: string) => void): void {
  if (holder.kind !== 'member' || holder.of.kind !== 'call' || holder.of.name.toLowerCase() !== 'pipeline') return
  const kind = holder.name.toLowerCase()
  if (kind === 'parameters') {
    const names = Object.keys(around.pipeline.parameters)
    if (!has(names, name)) fault(`pipeline ${around.pipeline.name} has no parameter ${name}${didYouMean(name, names)}`)
  }
  if (kind === 'globalparameters' && !has(around.known.globals, name)) {
    fault(`the factory has no global parameter ${name}${didYouMean(name, around.known.globals)}`)
  }
}

const has = (names: readonly string[], name: string) => names.some(n => n.toLowerCase() === name.toLowerCase())

/** All `holder.name` and `holder['name']` of a template. */
function membersIn(template: Template): [Expression, string][] {
  return expressionsIn(template).flatMap((e): [Expression, string][] => {
    if (e.kind === 'member' && !e.optional) return [[e.of, e.name]]
    if (e.kind !== 'index' || e.optional || e.index.kind !== 'literal') return []
    return typeof e.index.value === 'string' ? [[e.of, e.index.value]] : []
  })
}
