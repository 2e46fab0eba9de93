/** Conversions between types, as `toInteger`, `toDate` and the projection of a source do them: what cannot be converted is null. */
import { FerryError } from '../errors.ts'
import { datePattern, numberPattern } from './formats.ts'
import type { Value } from './scope.ts'
import { type Field, type FlowType, isIntegral, isNumber, literal, quoted, shownType, sqlType } from './types.ts'

/** `format` is a pattern of Java. Throws FERRY-7003, FERRY-7006. */
export function converted(value: Value, type: FlowType, format?: string): Value {
  const { sql, type: from } = value
  const as = (text: string): Value => ({ sql: text, type })
  if (format === undefined && JSON.stringify(from) === JSON.stringify(type)) return value
  if (from.kind === 'any') return as(`CAST(${sql} AS ${sqlType(type)})`)
  switch (type.kind) {
    case 'any':
      return value
    case 'string':
      return as(textOf(value, format))
    case 'boolean':
      if (from.kind === 'boolean') return as(sql)
      if (isNumber(from)) return as(`(${sql} <> 0)`)
      return as(
        `CASE WHEN lower(trim(${textOf(value)})) IN ('t','true','y','yes','1') THEN true WHEN lower(trim(${textOf(value)})) IN ('f','false','n','no','0') THEN false END`,
      )
    case 'date':
      return as(dateOf(value, format))
    case 'timestamp':
      return as(timestampOf(value, format))
    case 'binary':
      if (from.kind === 'binary') return as(sql)
      if (from.kind === 'string') return as(`encode(${sql})`)
      throw mismatch(from, type)
    case 'array':
      if (from.kind === 'array') {
        const one = converted({ sql: '"ferry e"', type: from.of }, type.of)
        return as(one.sql === '"ferry e"' ? sql : `list_transform(${sql}, lambda "ferry e": ${one.sql})`)
      }
      return as(ofJson(value, type))
    case 'struct':
      if (from.kind === 'struct') return as(structured(value, from.fields, type.fields))
      return as(ofJson(value, type))
    case 'map':
      if (from.kind === 'string') return as(ofJson(value, type))
      return as(`TRY_CAST(${sql} AS ${sqlType(type)})`)
    default:
      return as(numberOf(value, type, format))
  }
}

/** Each field by its name; one that is not there is null. */
function structured({ sql }: Value, from: readonly Field[], to: readonly Field[]): string {
  const fields = to.map(({ name, type }) => {
    const own = from.find(f => f.name === name)
    const value = own
      ? converted({ sql: `struct_extract(${sql}, ${literal(name)})`, type: own.type }, type).sql
      : `CAST(NULL AS ${sqlType(type)})`
    return `${quoted(name)} := ${value}`
  })
  return `CASE WHEN ${sql} IS NOT NULL THEN struct_pack(${fields.join(', ')}) END`
}

/** What lies in a text as JSON. Throws FERRY-7003. */
export function ofJson({ sql, type: from }: Value, type: FlowType): string {
  if (from.kind !== 'string') throw mismatch(from, type)
  return `CASE WHEN json_valid(${sql}) THEN json_transform(${sql}, ${literal(jsonStructure(type))}) END`
}

/** A type as the engine's reader of JSON takes it. */
function jsonStructure(type: FlowType): string {
  const of = (t: FlowType): unknown => {
    if (t.kind === 'struct') return Object.fromEntries(t.fields.map(f => [f.name, of(f.type)]))
    return t.kind === 'array' ? [of(t.of)] : sqlType(t)
  }
  return JSON.stringify(of(type))
}

function mismatch(from: FlowType, type: FlowType): FerryError {
  return new FerryError('FERRY-7003', `${shownType(from)} does not become ${shownType(type)}`)
}

function textOf({ sql, type }: Value, format?: string): string {
  if (type.kind === 'string') return sql
  if (format !== undefined && isNumber(type)) return numberText(sql, format)
  if (format !== undefined && (type.kind === 'date' || type.kind === 'timestamp')) {
    return `strftime(${sql}, ${literal(datePattern(format))})`
  }
  if (type.kind === 'struct' || type.kind === 'array' || type.kind === 'map') return `CAST(to_json(${sql}) AS VARCHAR)`
  if (type.kind === 'binary') return `decode(${sql})`
  // Java writes 10.0 where a text of SQL may be 10.
  return `CAST(${sql} AS VARCHAR)`
}

function numberText(sql: string, format: string): string {
  const { prefix, suffix, isGrouped, leastWhole, leastFraction, mostFraction } = numberPattern(format)
  const digits = `format('{:${isGrouped ? ',' : ''}.${mostFraction}f}', CAST(round_even(CAST(abs(${sql}) AS DOUBLE), ${mostFraction}) AS DOUBLE))`
  // Zeros at the end that the pattern does not ask for.
  const optional = mostFraction - leastFraction
  const cut = optional > 0 ? `regexp_replace(regexp_replace(${digits}, '0{1,${optional}}$', ''), '\\.$', '')` : digits
  const fraction = leastFraction > 0 ? leastFraction + 1 : 0
  // Without a zero before the point none is written.
  const whole =
    leastWhole === 0
      ? `CASE WHEN starts_with(${cut}, '0.') THEN substr(${cut}, 2) ELSE ${cut} END`
      : leastWhole > 1
        ? `lpad(${cut}, CAST(greatest(length(${cut}), ${leastWhole + fraction}) AS INTEGER), '0')`
        : cut
  return `(CASE WHEN ${sql} < 0 THEN '-' ELSE '' END || ${literal(prefix)} || (${whole}) || ${literal(suffix)})`
}

function dateOf({ sql, type }: Value, format?: string): string {
  if (type.kind === 'date') return sql
  if (type.kind === 'timestamp') return `CAST(${sql} AS DATE)`
  if (type.kind !== 'string') throw mismatch(type, { kind: 'date' })
  if (format !== undefined) return `CAST(try_strptime(${sql}, ${literal(datePattern(format))}) AS DATE)`
  const text = `trim(${sql})`
  return `CASE WHEN regexp_full_match(${text}, '\\d{4}') THEN TRY_CAST(${text} || '-01-01' AS DATE) WHEN regexp_full_match(${text}, '\\d{4}-\\d{1,2}') THEN TRY_CAST(${text} || '-01' AS DATE) WHEN regexp_matches(${text}, '^\\d{4}-\\d{1,2}-\\d{1,2}([T ].*)?$') THEN TRY_CAST(regexp_extract(${text}, '^\\d{4}-\\d{1,2}-\\d{1,2}') AS DATE) END`
}

function timestampOf({ sql, type }: Value, format?: string): string {
  if (type.kind === 'timestamp') return sql
  if (type.kind === 'date') return `CAST(${sql} AS TIMESTAMP)`
  // Milliseconds since 1970.
  if (isIntegral(type)) return `epoch_ms(CAST(${sql} AS BIGINT))`
  if (type.kind !== 'string') throw mismatch(type, { kind: 'timestamp' })
  // A zone that is written leads to the time in UTC.
  if (format !== undefined) {
    const hasZone = /[XZ]/.test(format.replace(/'[^']*'/g, ''))
    const text = hasZone ? `regexp_replace(${sql}, 'Z$', '+00:00')` : sql
    return `CAST(try_strptime(${text}, ${literal(datePattern(format))}) AS TIMESTAMP)`
  }
  return `coalesce(CAST(TRY_CAST(${sql} AS TIMESTAMPTZ) AS TIMESTAMP), CAST(${dateOf({ sql, type })} AS TIMESTAMP))`
}

function numberOf({ sql, type: from }: Value, type: FlowType, format?: string): string {
  const target = sqlType(type)
  if (from.kind === 'boolean') return `CAST(${sql} AS ${target})`
  if (isNumber(from)) {
    // A float becomes the decimal that it is written as.
    const isFloat = from.kind === 'double' || from.kind === 'float'
    if (type.kind === 'decimal' && isFloat) return `TRY_CAST(CAST(${sql} AS VARCHAR) AS ${target})`
    if (!isIntegral(type)) return `TRY_CAST(${sql} AS ${target})`
    // Digits behind the point are cut off, and not rounded.
    return isIntegral(from) ? `TRY_CAST(${sql} AS ${target})` : `TRY_CAST(trunc(${sql}) AS ${target})`
  }
  if (from.kind === 'date') return `CAST(epoch(${sql}) / 86400 AS ${target})`
  if (from.kind === 'timestamp') return `CAST(epoch_ms(${sql}) AS ${target})`
  if (from.kind !== 'string') throw mismatch(from, type)
  let text = `trim(${sql})`
  if (format !== undefined) {
    const { prefix, suffix, isGrouped } = numberPattern(format)
    // What the pattern has around a number is taken off; a text without it is no number.
    if (prefix !== '')
      text = `CASE WHEN starts_with(${text}, ${literal(prefix)}) THEN substr(${text}, ${[...prefix].length + 1}) END`
    if (suffix !== '')
      text = `CASE WHEN ends_with(${text}, ${literal(suffix)}) THEN left(${text}, -${[...suffix].length}) END`
    if (isGrouped) text = `replace(${text}, ',', '')`
  }
  return isIntegral(type)
    ? `CASE WHEN regexp_full_match(${text}, '[+-]?(\\d+\\.?\\d*|\\.\\d+)') THEN TRY_CAST(trunc(TRY_CAST(${text} AS DECIMAL(38,10))) AS ${target}) END`
    : `TRY_CAST(${text} AS ${target})`
}
