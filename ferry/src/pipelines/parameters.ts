/** Values of parameters and variables, by the types that they are declared with. */
import { didYouMean, FerryError } from '../errors.ts'
import { isObject, parseValue, shownValue, type Value, type ValueObject, valueOf } from './expressions/values.ts'
import type { Parameter } from './model.ts'

/** The values of parameters: those given, else the defaults. Throws FERRY-7004. */
export function bindParameters(owner: string, declared: Record<string, Parameter>, given: ValueObject): ValueObject {
  // Data Factory finds parameters in any case.
  const values = new Map(Object.entries(given).map(([name, value]) => [name.toLowerCase(), value]))
  const names = new Set(Object.keys(declared).map(name => name.toLowerCase()))
  const unknown = Object.keys(given).find(name => !names.has(name.toLowerCase()))
  if (unknown !== undefined) {
    const near = didYouMean(unknown, Object.keys(declared))
    const known = Object.keys(declared).join(', ') || 'none'
    throw new FerryError('FERRY-7004', `${owner} has no parameter ${unknown}${near} (its parameters: ${known})`)
  }
  return Object.fromEntries(
    Object.entries(declared).map(([name, { type, defaultValue }]) => {
      const value = values.get(name.toLowerCase())
      if (value !== undefined) return [name, ofType(value, type, `parameter ${name} of ${owner}`)]
      if (defaultValue === undefined) {
        throw new FerryError('FERRY-7004', `${owner} needs a value for its parameter ${name}`, {
          hint: `Give it: --parameter ${name}=...`,
        })
      }
      return [name, ofType(valueOf(defaultValue), type, `the default of ${name} of ${owner}`)]
    }),
  )
}

/** A value as its type has it: texts become what they stand for, as in Data Factory. Throws FERRY-7004. */
export function ofType(value: Value, type: string, what: string): Value {
  const wrong = () =>
    new FerryError(
      'FERRY-7004',
      `${what} has to be of the type ${type}, and is ${/^secure/i.test(type) ? 'none' : shownValue(value)}`,
    )
  if (value === null) return null
  switch (type.toLowerCase()) {
    case 'string':
    case 'securestring':
      if (typeof value === 'string') return value
      if (isObject(value) && value.type === 'SecureString' && typeof value.value === 'string') return value.value
      if (typeof value === 'object') throw wrong()
      return typeof value === 'boolean' ? (value ? 'True' : 'False') : String(value)
    case 'int':
    case 'integer':
      if (typeof value === 'bigint') return value
      if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value)
      if (typeof value === 'string' && /^[+-]?\d{1,19}$/.test(value.trim()))
        return BigInt(value.trim().replace(/^\+/, ''))
      throw wrong()
    case 'float':
    case 'double':
      if (typeof value === 'number' || typeof value === 'bigint') return Number(value)
      if (typeof value === 'string' && value.trim() !== '' && Number.isFinite(Number(value))) return Number(value)
      throw wrong()
    case 'bool':
    case 'boolean':
      if (typeof value === 'boolean') return value
      if (typeof value === 'string' && /^(true|false)$/i.test(value.trim()))
        return value.trim().toLowerCase() === 'true'
      throw wrong()
    case 'array':
    case 'object': {
      const made = typeof value === 'string' ? parsed(value, wrong) : value
      if (type.toLowerCase() === 'array' ? Array.isArray(made) : typeof made === 'object') return made
      throw wrong()
    }
    default:
      return value
  }
}

function parsed(text: string, wrong: () => FerryError): Value {
  try {
    return parseValue(text)
  } catch {
    throw wrong()
  }
}

/** `k=v` of the command line, for parameters whose types are known: texts stay texts. */
export function fromCommandLine(pairs: readonly string[], declared: Record<string, Parameter>): ValueObject {
  return Object.fromEntries(
    pairs.map(pair => {
      const at = pair.indexOf('=')
      if (at < 1) throw new FerryError('FERRY-7004', `${pair} is no parameter`, { hint: 'Write NAME=VALUE.' })
      const name = pair.slice(0, at)
      const found = Object.keys(declared).find(n => n.toLowerCase() === name.toLowerCase()) ?? name
      return [found, pair.slice(at + 1)]
    }),
  )
}
