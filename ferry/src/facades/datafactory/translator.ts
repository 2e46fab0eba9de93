/** The mapping of a copy activity: `TabularTranslator` in all of its forms, as columns of a job. */
import { formatOf, hasForms } from '../../batch/forms.ts'
import { parseType } from '../../batch/types.ts'
import { FerryError } from '../../errors.ts'
import type { TableSettings } from '../../job/schema.ts'
import { isObject, type Value, type ValueObject } from '../../pipelines/expressions/values.ts'
import { requireBoolean, requireList, requireObject } from '../../pipelines/resolve.ts'
import { optional } from './files.ts'

export interface Mapping {
  /** Source column -> destination; undefined where all columns are copied by name. */
  columns: Record<string, MappedTo> | undefined
  /** The path of the list that is unrolled: `orders`, or `a.orders`. */
  unwind: string | undefined
  /** Types that source columns are read as. */
  sourceTypes: Record<string, string>
  /** Formats and culture of all columns: those of `typeConversionSettings`. */
  texts: TableSettings['texts']
}

export interface MappedTo {
  to: string
  parse?: { type?: string; format?: string; culture?: string }
  print?: { format?: string; culture?: string }
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
  const none: Mapping = { columns: undefined, unwind: undefined, sourceTypes: {}, texts: undefined }
  if (translator === undefined || translator === null) return none
  const t = requireObject(translator, 'translator')
  const type = String(t.type ?? 'TabularTranslator')
  if (type !== 'TabularTranslator')
    throw new FerryError('FERRY-7006', `a translator of the type ${type} is not known here`)
  const texts = textsOf(t)
  const reference =
    typeof t.collectionReference === 'string' && t.collectionReference !== '' ? t.collectionReference : undefined
  const unwind = reference === undefined ? undefined : stepsOf(reference, 'collectionReference').join('.')
  const pairs = pairsOf(t, sides, unwind)
  if (pairs === undefined) return { ...none, unwind, texts }
  const columns: Mapping['columns'] = {}
  const sourceTypes: Record<string, string> = {}
  for (const { from, to, sourceType: given, sinkType, parse, print } of pairs) {
    // What a text becomes is said by the sink, where the source says that it is one.
    const sourceType = parse && (given === undefined || given === 'utf8') ? (sinkType ?? given) : given
    if (Object.hasOwn(columns, from)) {
      throw new FerryError(
        'FERRY-7006',
        `the source column ${from} goes to ${columns[from]!.to} and to ${to}: a column is copied once here`,
        {
          hint: 'Add a copy of it to the source by additionalColumns, as $$COLUMN:NAME.',
        },
      )
    }
    // A text that is of a type has the form that is set for the type.
    const isFormed = parse !== undefined || (sourceType !== undefined && isSaid(sourceType, texts))
    columns[from] = {
      to,
      ...(isFormed
        ? { parse: { ...(sourceType !== undefined && hasForm(sourceType) ? { type: sourceType } : {}), ...parse } }
        : {}),
      ...(print ? { print } : {}),
    }
    if (sourceType !== undefined && !isFormed) sourceTypes[from] = sourceType
  }
  return { columns, unwind, sourceTypes, texts }
}

/** The names that types have in `texts` of a job, by the settings of a translator. */
const FORMATS = {
  dateTimeFormat: 'timestamp',
  dateTimeOffsetFormat: 'timestamptz',
  timeSpanFormat: 'interval',
  dateFormat: 'date',
  timeFormat: 'time',
  culture: 'culture',
} as const

/** `typeConversionSettings`, where values are converted. */
function textsOf({ typeConversion, typeConversionSettings: given }: ValueObject): TableSettings['texts'] {
  const isOn =
    typeConversion !== undefined && typeConversion !== null && requireBoolean(typeConversion, 'typeConversion')
  if (!isOn || !isObject(given)) return undefined
  const found = Object.entries(FORMATS).flatMap(([name, own]) => {
    const format = optional(given[name])
    return format === undefined ? [] : [[own, format] as const]
  })
  if (found.length === 0) return undefined
  const texts: NonNullable<TableSettings['texts']> = Object.fromEntries(found)
  // A span of time is a time of the day in stores that have no spans.
  return texts.interval === undefined ? texts : { time: texts.interval, ...texts }
}

function hasForm(name: string): boolean {
  const type = parseType(name)
  return type !== undefined && hasForms(type)
}

/** Whether settings say how texts of a type are written. */
function isSaid(name: string, texts: TableSettings['texts']): boolean {
  const type = parseType(name)
  if (!texts || !type || !hasForms(type)) return false
  return texts.culture !== undefined || formatOf(type, texts) !== undefined
}

interface Pair {
  from: string
  to: string
  sourceType?: string | undefined
  parse?: Form | undefined
  print?: Form | undefined
  sinkType?: string | undefined
}

type Form = { format?: string; culture?: string }

const isText = (type: Value | undefined) => type === undefined || type === null || /^string$/i.test(String(type))

/** `format` and `culture` of one side of a mapping. */
function formOf({ format, culture }: ValueObject): Form | undefined {
  const [f, c] = [optional(format), optional(culture)]
  if (f === undefined && c === undefined) return undefined
  return { ...(f === undefined ? {} : { format: f }), ...(c === undefined ? {} : { culture: c }) }
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
      // Where the source is text and its side says nothing, the other one does.
      parse: formOf(from) ?? (isText(from.type) ? formOf(to) : undefined),
      sinkType: typeOf(to.type),
      print: formOf(to),
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
