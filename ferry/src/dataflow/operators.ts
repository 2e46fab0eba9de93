/** Operators of data flows, by the types of their sides. */
import type { FerryError } from '../errors.ts'
import { converted } from './convert.ts'
import { flowFault, type Value } from './scope.ts'
import type { Place } from './script/tokens.ts'
import {
  BOOLEAN,
  bounded,
  common,
  DOUBLE,
  type FlowType,
  INTEGER,
  isIntegral,
  isMoment,
  isNumber,
  LONG,
  STRING,
  shownType,
  sqlType,
  TIMESTAMP,
  wider,
} from './types.ts'

export function unary(operator: '-' | '!', value: Value, e: Place): Value {
  if (operator === '!') {
    if (value.type.kind === 'boolean' || value.type.kind === 'any') return { sql: `(NOT ${value.sql})`, type: BOOLEAN }
    throw flowFault(e, `! takes a boolean, and gets ${shownType(value.type)}`)
  }
  if (!isNumber(value.type)) throw flowFault(e, `- takes a number, and gets ${shownType(value.type)}`)
  const constant = value.constant === undefined ? {} : { constant: `-${value.constant}` }
  return { sql: `(-${value.sql})`, type: value.type, ...constant }
}

const COMPARED: Record<string, string> = {
  '==': '=',
  '!=': '<>',
  '<': '<',
  '>': '>',
  '<=': '<=',
  '>=': '>=',
  '===': 'IS NOT DISTINCT FROM',
}
/** Operators by the names that they have as functions. */
export const WORDS: Record<string, string> = {
  add: '+',
  minus: '-',
  multiply: '*',
  divide: '/',
  mod: '%',
  equals: '==',
  notequals: '!=',
  greater: '>',
  greaterorequal: '>=',
  lesser: '<',
  lesserorequal: '<=',
}

export function binary(operator: string, left: Value, right: Value, e: Place): Value {
  const wrong = () => flowFault(e, `${operator} does not take ${shownType(left.type)} and ${shownType(right.type)}`)
  const isAny = left.type.kind === 'any' || right.type.kind === 'any'
  if (operator === '&&' || operator === '||') {
    for (const { type } of [left, right]) if (type.kind !== 'boolean' && type.kind !== 'any') throw wrong()
    return { sql: `(${left.sql} ${operator === '&&' ? 'AND' : 'OR'} ${right.sql})`, type: BOOLEAN }
  }
  if (operator === '<=>')
    return { sql: `(lower(${converted(left, STRING).sql}) = lower(${converted(right, STRING).sql}))`, type: BOOLEAN }
  const sign = COMPARED[operator]
  if (sign !== undefined) {
    // A text is compared with a number as the number that it is, as Spark does.
    const texts = left.type.kind === 'string' || right.type.kind === 'string'
    const other = left.type.kind === 'string' ? right.type : left.type
    const type =
      texts && other.kind !== 'string' && !isAny
        ? isIntegral(other)
          ? LONG
          : isNumber(other)
            ? DOUBLE
            : other
        : common(left.type, right.type, operator)
    return { sql: `(${converted(left, type).sql} ${sign} ${converted(right, type).sql})`, type: BOOLEAN }
  }
  if (operator === '^' && left.type.kind === 'boolean') return { sql: `(${left.sql} <> ${right.sql})`, type: BOOLEAN }
  if ('&|^'.includes(operator) || operator === '<<' || operator === '>>') {
    if (!isIntegral(left.type) || !isIntegral(right.type)) throw wrong()
    return {
      sql: operator === '^' ? `xor(${left.sql}, ${right.sql})` : `(${left.sql} ${operator} ${right.sql})`,
      type: wider(left.type, right.type),
    }
  }
  return arithmetic(operator, left, right, wrong, isAny)
}

function arithmetic(operator: string, left: Value, right: Value, wrong: () => FerryError, isAny: boolean): Value {
  const [a, b] = [left.type, right.type]
  if (isAny) {
    const known = a.kind === 'any' ? b : a
    return { sql: `CAST(NULL AS ${sqlType(known)})`, type: known }
  }
  if (operator === '+' && (a.kind === 'string' || b.kind === 'string')) {
    return { sql: `(${converted(left, STRING).sql} || ${converted(right, STRING).sql})`, type: STRING }
  }
  if (operator === '+' && a.kind === 'array' && b.kind === 'array')
    return { sql: `list_concat(${left.sql}, ${right.sql})`, type: common(a, b, '+') }
  if (isMoment(a)) return momentArithmetic(operator, left, right, wrong)
  if (!isNumber(a) || !isNumber(b)) throw wrong()
  const type = wider(a, b)
  if (operator === '/') {
    // Whole numbers give whole numbers; nothing is divided by zero.
    if (isIntegral(type)) return { sql: `(${left.sql} // ${right.sql})`, type }
    const divided = `(CAST(${left.sql} AS DOUBLE) / nullif(CAST(${right.sql} AS DOUBLE), 0))`
    return type.kind === 'decimal' ? divideExactly(left, right) : { sql: divided, type }
  }
  if (operator === '%') return { sql: `(${left.sql} % nullif(${right.sql}, 0))`, type }
  if (type.kind === 'decimal' && operator === '*') {
    const [x, y] = [decimalOf(a), decimalOf(b)]
    const product = bounded(x.precision + y.precision + 1, x.scale + y.scale)
    return { sql: `CAST((${left.sql} * ${right.sql}) AS ${sqlType(product)})`, type: product }
  }
  // A sum of decimals may have a digit more.
  const sum = type.kind === 'decimal' ? bounded(type.precision + 1, type.scale) : type
  return { sql: `CAST((${left.sql} ${operator} ${right.sql}) AS ${sqlType(sum)})`, type: sum }
}

interface Decimal {
  kind: 'decimal'
  precision: number
  scale: number
}

const WHOLE_DIGITS: Record<string, number> = { byte: 3, short: 5, integer: 10, long: 20 }

const decimalOf = (type: FlowType): Decimal =>
  type.kind === 'decimal' ? type : { kind: 'decimal', precision: WHOLE_DIGITS[type.kind]!, scale: 0 }

/** The engine divides decimals as floats: here they are divided as whole numbers, and rounded half away from zero. */
function divideExactly(left: Value, right: Value): Value {
  const [a, b] = [decimalOf(left.type), decimalOf(right.type)]
  const fraction = Math.max(6, a.scale + b.precision + 1)
  const type = bounded(a.precision - a.scale + b.scale + fraction, fraction)
  const n = `(${unscaled(left, a)} * ${power(type.scale + b.scale - a.scale)})`
  const d = `nullif(${unscaled(right, b)}, 0)`
  const quotient = `((2 * abs(${n}) + abs(${d})) // (2 * abs(${d})) * sign(${n}) * sign(${d}))`
  const unit = `CAST('${type.scale === 0 ? '1' : `0.${'0'.repeat(type.scale - 1)}1`}' AS DECIMAL(${Math.max(1, type.scale)},${type.scale}))`
  return { sql: `CAST(CAST(${quotient} AS DECIMAL(38,0)) * ${unit} AS ${sqlType(type)})`, type }
}

const power = (n: number) => `CAST('1${'0'.repeat(Math.max(0, n))}' AS HUGEINT)`

/** A decimal without its point. */
function unscaled({ sql }: Value, { precision, scale }: Decimal): string {
  if (scale === 0) return `CAST(${sql} AS HUGEINT)`
  if (precision + scale + 1 > 38) return `CAST(replace(CAST(${sql} AS VARCHAR), '.', '') AS HUGEINT)`
  return `CAST(${sql} * CAST('1${'0'.repeat(scale)}' AS DECIMAL(${scale + 1},0)) AS HUGEINT)`
}

function momentArithmetic(operator: string, left: Value, right: Value, wrong: () => FerryError): Value {
  const { type } = left
  if (operator !== '+' && operator !== '-') throw wrong()
  if (operator === '-' && isMoment(right.type)) {
    if (type.kind === 'date' && right.type.kind === 'date')
      return { sql: `CAST((${left.sql} - ${right.sql}) AS INTEGER)`, type: INTEGER }
    const ms = (v: Value) => `epoch_ms(CAST(${v.sql} AS TIMESTAMP))`
    return { sql: `(${ms(left)} - ${ms(right)})`, type: LONG }
  }
  if (!isIntegral(right.type)) throw wrong()
  // A number is days for a date, milliseconds for a timestamp.
  if (type.kind === 'date')
    return { sql: `CAST((${left.sql} ${operator} to_days(CAST(${right.sql} AS INTEGER))) AS DATE)`, type }
  return { sql: `(${left.sql} ${operator} to_milliseconds(${right.sql}))`, type: TIMESTAMP }
}
