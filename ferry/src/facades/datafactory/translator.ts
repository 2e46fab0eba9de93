/** The mapping of a copy activity: `TabularTranslator` in all of its forms, as columns of a job. */
import { FerryError } from '../../errors.ts'
import { isObject, type Value, type ValueObject } from '../../pipelines/expressions/values.ts'
import { requireBoolean, requireList, requireObject } from '../../pipelines/resolve.ts'

export interface Mapping {
  /** Source column -> destination; undefined where all columns are copied by name. */
  columns: Record<string, { to: string; type?: string }> | undefined
  /** The path of the list that is unrolled: `orders`, or `a.orders`. */
  unwind: string | undefined
  /** Types that source columns are read as. */
  sourceTypes: Record<string, string>
  /** True if values may be altered to fit: what the defaults of `typeConversionSettings` allow. */
  converts: boolean
}

/** Interim types of Data Factory as types of Ferry. */
const TYPES: Record<string, string> = {
  boolean: 'bool',
  byte: 'uint8',
  sbyte: 'int8',
  int16: 'int16',
  int32: 'int32',
  int64: 'int64',
  uint16: 'uint16',
  uint32: 'uint32',
  uint64: 'uint64',
  single: 'float32',
  double: 'float64',
  decimal: 'decimal(38,18)',
  string: 'utf8',
  guid: 'uuid',
  datetime: 'timestamp[us]',
  datetimeoffset: 'timestamp[us, tz]',
  timespan: 'interval',
  'byte[]': 'binary',
}

interface Sides {
  /** True if the source is text without names of columns. */
  sourceIsUnnamed: boolean
  sinkIsUnnamed: boolean
  /** True if names of the sink may lead into objects. */
  sinkNests: boolean
}

/** Reads a translator. Throws FERRY-7001, FERRY-7006. */
export function mappingOf(translator: Value | undefined, sides: Sides): Mapping {
  const none: Mapping = { columns: undefined, unwind: undefined, sourceTypes: {}, converts: false }
  if (translator === undefined || translator === null) return none
  const t = requireObject(translator, 'translator')
  const type = String(t.type ?? 'TabularTranslator')
  if (type !== 'TabularTranslator')
    throw new FerryError('FERRY-7006', `a translator of the type ${type} is not known here`)
  requirePlain(t)
  const reference =
    typeof t.collectionReference === 'string' && t.collectionReference !== '' ? t.collectionReference : undefined
  const unwind = reference === undefined ? undefined : stepsOf(reference, 'collectionReference').join('.')
  const pairs = pairsOf(t, sides, unwind)
  const converts =
    typeof t.typeConversion !== 'undefined' && requireBoolean(t.typeConversion, 'translator.typeConversion')
  if (pairs === undefined) return { ...none, unwind, converts }
  const columns: Mapping['columns'] = {}
  const sourceTypes: Record<string, string> = {}
  for (const { from, to, sourceType, sinkType } of pairs) {
    if (Object.hasOwn(columns, from)) {
      throw new FerryError(
        'FERRY-7006',
        `the source column ${from} goes to ${columns[from]!.to} and to ${to}: a column is copied once here`,
        {
          hint: 'Add a copy of it to the source by additionalColumns, as $$COLUMN:NAME.',
        },
      )
    }
    columns[from] = { to, ...(sinkType === undefined ? {} : { type: sinkType }) }
    if (sourceType !== undefined) sourceTypes[from] = sourceType
  }
  return { columns, unwind, sourceTypes, converts }
}

/** Throws FERRY-7006 for what would read or write values in another form. */
function requirePlain(t: ValueObject): void {
  const settings = isObject(t.typeConversionSettings) ? t.typeConversionSettings : {}
  const forms = Object.entries(settings).filter(
    ([name, v]) => /Format$|^culture$/i.test(name) && v !== null && v !== '',
  )
  const [first] = forms
  if (first) {
    throw new FerryError(
      'FERRY-7006',
      `typeConversionSettings.${first[0]} is not known here: texts of dates and numbers are read in one form`,
      {
        hint: 'Read them as texts, and convert them in a query or an expression.',
      },
    )
  }
  if (!Array.isArray(t.mappings)) return
  for (const [i, mapping] of t.mappings.entries()) {
    for (const side of ['source', 'sink'] as const) {
      const of = isObject(mapping) ? mapping[side] : undefined
      const named = isObject(of)
        ? (['format', 'culture'] as const).find(n => of[n] !== undefined && of[n] !== null && of[n] !== '')
        : undefined
      if (named) throw new FerryError('FERRY-7006', `translator.mappings[${i}].${side}.${named} is not known here`)
    }
  }
}

interface Pair {
  from: string
  to: string
  sourceType?: string | undefined
  sinkType?: string | undefined
}

function pairsOf(t: ValueObject, sides: Sides, unwind: string | undefined): Pair[] | undefined {
  if (t.mappings !== undefined) return fromMappings(requireList(t.mappings, 'translator.mappings'), sides, unwind)
  if (t.columnMappings !== undefined) {
    const written = t.columnMappings
    const pairs =
      typeof written === 'string'
        ? written.split(',').map(pair => pair.split(':').map(p => p.trim()) as [string, string])
        : (Object.entries(requireObject(written, 'translator.columnMappings')) as [string, string][])
    return pairs.map(([from, to]) => {
      if (!from || typeof to !== 'string' || to === '')
        throw new FerryError('FERRY-7001', 'translator.columnMappings pairs names of columns')
      return { from, to }
    })
  }
  if (t.schemaMapping !== undefined) {
    return Object.entries(requireObject(t.schemaMapping, 'translator.schemaMapping')).map(([path, to]) => ({
      from: pathOf(path, unwind),
      to: String(to),
    }))
  }
  return undefined
}

function fromMappings(mappings: Value[], sides: Sides, unwind: string | undefined): Pair[] | undefined {
  if (mappings.length === 0) return undefined
  const pairs = mappings.map((one, i) => {
    const { source, sink } = requireObject(one, `translator.mappings[${i}]`)
    const from = requireObject(source, `translator.mappings[${i}].source`)
    const to = requireObject(sink, `translator.mappings[${i}].sink`)
    const at = `translator.mappings[${i}]`
    return {
      from: sideOf(from, `${at}.source`, sides.sourceIsUnnamed, unwind),
      to: sideOf(to, `${at}.sink`, sides.sinkIsUnnamed, undefined),
      sourceType: typeOf(from.type),
      sinkType: undefined,
      ordinal: to.ordinal === undefined ? i : Number(to.ordinal),
      isNested: typeof to.path === 'string' && stepsOf(to.path, `${at}.sink.path`).length > 1,
    }
  })
  const nested = pairs.find(p => p.isNested)
  if (nested && !sides.sinkNests) {
    throw new FerryError(
      'FERRY-7006',
      `the sink path ${nested.to} leads into an object, which this sink does not write`,
    )
  }
  return sides.sinkIsUnnamed ? pairs.sort((a, b) => a.ordinal - b.ordinal) : pairs
}

function sideOf(side: ValueObject, at: string, isUnnamed: boolean, unwind: string | undefined): string {
  if (typeof side.path === 'string') return pathOf(side.path, unwind)
  if (typeof side.name === 'string' && side.name !== '') return side.name
  if (side.ordinal !== undefined && isUnnamed) {
    const ordinal = Number(side.ordinal)
    if (Number.isInteger(ordinal) && ordinal > 0) return `column${ordinal}`
  }
  throw new FerryError('FERRY-7001', `${at} has neither a name nor a path${isUnnamed ? ' nor an ordinal' : ''}`)
}

function typeOf(type: Value | undefined): string | undefined {
  if (type === undefined || type === null) return undefined
  // The designer writes types of the store's own, too, such as `nvarchar`: they say nothing about the values.
  const name = String(isObject(type) ? '' : type).toLowerCase()
  return Object.hasOwn(TYPES, name) ? TYPES[name] : undefined
}

/** `$['a']['b']`, `$.a.b`, `['prod']` and `prod` as `a.b`; what is relative is within the list that is unrolled. */
function pathOf(path: string, unwind: string | undefined): string {
  const steps = stepsOf(path, 'path')
  const isRelative = !path.trim().startsWith('$')
  return (isRelative && unwind !== undefined ? [unwind, ...steps] : steps).join('.')
}

const STEP = /\s*(?:\[\s*'((?:[^'\\]|\\.)*)'\s*\]|\[\s*"((?:[^"\\]|\\.)*)"\s*\]|\[\s*(\d+)\s*\]|\.?([^.[\]\s'"]+))/y

export function stepsOf(path: string, what: string): string[] {
  const steps: string[] = []
  let at = /^\s*\$/.exec(path)?.[0].length ?? 0
  while (at < path.trimEnd().length) {
    STEP.lastIndex = at
    const match = STEP.exec(path)
    if (!match)
      throw new FerryError('FERRY-7001', `${what} ${path} is no JSON path: a name or an index is expected at ${at + 1}`)
    steps.push((match[1] ?? match[2])?.replaceAll(/\\(.)/g, '$1') ?? match[3] ?? match[4]!)
    at = STEP.lastIndex
  }
  return steps
}
