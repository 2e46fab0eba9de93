/** Documents as rows, for the stores that hold them. */
import { elements, fromJson, members, memberTexts } from '../batch/json.ts'
import type { Column, Row } from '../batch/types.ts'
import { RowError } from '../errors.ts'
import { DOCUMENT } from './connector.ts'

/**
 * The row of a document: the whole text, or a member for each column; `address.city` is the member of an object where no
 * member has that name. Throws a RowError that names the column.
 */
export function documentRow(text: string, columns: Column[]): Row {
  if (columns[0]?.name === DOCUMENT) return [text]
  const found = new Map(members(text))
  return columns.map(({ name, type }) => {
    const member = found.get(name) ?? (name.includes('.') ? nested(found, name) : undefined)
    try {
      return member === undefined || member === 'null' ? null : fromJson(member, type)
    } catch (error) {
      if (!(error instanceof RowError)) throw error
      throw new RowError(error.code, error.message, name)
    }
  })
}

function nested(found: Map<string, string>, name: string): string | undefined {
  let inner = found
  const steps = name.split('.')
  for (const [i, step] of steps.entries()) {
    const member = inner.get(step)
    if (i === steps.length - 1 || member === undefined) return member
    if (!member.startsWith('{')) return undefined
    inner = new Map(members(member))
  }
  return undefined
}

/** The members of objects inside a document, under the names by which columns ask for them: `address.city`. */
export function nestedMembers(found: [string, string][], prefix = ''): [string, string][] {
  return found.flatMap(([name, text]) => {
    const path = `${prefix}${name}`
    if (!text.startsWith('{')) return prefix === '' ? [] : [[path, text] as [string, string]]
    const inner = nestedMembers(members(text), `${path}.`)
    return prefix === '' ? inner : [[path, text] as [string, string], ...inner]
  })
}

/**
 * A document for each element of an array in it, with that element in the array's place: an order with three lines
 * becomes three. A document whose array is missing or empty stays one, without it.
 */
export function unwound(text: string, path: string): string[] {
  const [step, ...rest] = path.split('.')
  const parts = memberTexts(text)
  const at = parts.findIndex(({ key }) => JSON.parse(key) === step)
  const write = (value: string | undefined) => {
    const kept = parts.flatMap((p, i) => (i === at ? (value === undefined ? [] : [{ ...p, value }]) : [p]))
    return `{${kept.map(({ key, value: v }) => `${key}:${v}`).join(',')}}`
  }
  const value = parts[at]?.value
  if (value === undefined) return [text]
  if (rest.length > 0) {
    return value.startsWith('{') ? unwound(value, rest.join('.')).map(write) : [text]
  }
  if (!value.startsWith('[')) return [text]
  const items = elements(value)
  return items.length === 0 ? [write(undefined)] : items.map(write)
}
