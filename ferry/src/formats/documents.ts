/** Documents as rows, for the stores that hold them. */
import { elements, fromJson, members, memberTexts } from '../batch/json.ts'
import type { Column, Row } from '../batch/types.ts'
import type { ReadRequest } from '../contract/read.ts'
import { DOCUMENT } from '../contract/schema.ts'
import { RowError } from '../errors.ts'

/** What the plan reports about the documents of a table. */
export class DocumentReader {
  private readonly columns: (Column & { guessed: boolean })[]
  private readonly known: Set<string> | undefined
  private readonly asked: Set<string>
  /** Members that no column asks for. */
  readonly passedOver = new Set<string>()

  /** `columns` are those of the rows; the request's mapping is applied to them. */
  constructor(columns: Column[], request: Pick<ReadRequest, 'columns' | 'known'>) {
    const guessed = new Set(request.columns.flatMap(c => (c.guessed && c.from !== undefined ? [c.from] : [])))
    this.columns = columns.map(c => ({ ...c, guessed: guessed.has(c.name) }))
    this.known = request.known && new Set(request.known)
    this.asked = new Set(columns.map(c => c.name.split('.')[0]!).concat(columns.map(c => c.name)))
  }

  /**
   * The row of a document: the whole text, or a member for each column; `address.city` is the member of an object where no
   * member has that name. Throws a RowError that names the column; FERRY-3013 for a member that the plan knows nothing of.
   */
  row(text: string): Row {
    if (this.columns[0]?.name === DOCUMENT) return [text]
    const all = members(text)
    const found = new Map(all)
    if (found.size !== all.length) throw new RowError('FERRY-4002', `a member stands twice: ${twice(all)}`)
    for (const name of found.keys()) {
      if (this.known?.has(name) === false) throw unknownMember(name)
      if (!this.asked.has(name)) this.passedOver.add(name)
    }
    return this.columns.map(({ name, type, guessed }) => {
      const member = found.get(name) ?? (name.includes('.') ? nested(found, name) : undefined)
      try {
        return member === undefined || member === 'null' ? null : fromJson(member, type, guessed)
      } catch (error) {
        if (!(error instanceof RowError)) throw error
        throw new RowError(error.code, error.message, name, { hint: error.hint })
      }
    })
  }
}

function twice(all: [string, string][]): string {
  const seen = new Set<string>()
  for (const [name] of all) {
    if (seen.has(name)) return JSON.stringify(name)
    seen.add(name)
  }
  return ''
}

function unknownMember(name: string): RowError {
  return new RowError(
    'FERRY-3013',
    `the member ${JSON.stringify(name)} is in none of the records that the plan was made from`,
    name,
    {
      hint: 'Set `drift: evolve` (all records are then read for the plan), `drift: ignore` to leave such members out, or name the columns that are copied.',
    },
  )
}

function nested(found: Map<string, string>, name: string): string | undefined {
  let inner = found
  const steps = name.split('.')
  for (const [i, step] of steps.entries()) {
    const member = inner.get(step)
    if (i === steps.length - 1 || member === undefined) return member
    if (member.startsWith('{')) inner = new Map(members(member))
    else if (member.startsWith('[')) inner = new Map(elements(member).map((text, at) => [String(at), text]))
    else return undefined
  }
  return undefined
}

/** Of longer lists no element has a name of its own in a sample. */
const MOST_ELEMENTS = 8
/** What lies deeper in one another has no name of its own either. */
const MOST_DEPTH = 20

/**
 * The members of objects inside a document, under the names by which columns ask for them: `address.city`, and `cities.0.name` for an
 * element of a list.
 */
export function nestedMembers(found: [string, string][], prefix = '', depth = 0): [string, string][] {
  return found.flatMap(([name, text]) => {
    const path = `${prefix}${name}`
    const own: [string, string][] = prefix === '' ? [] : [[path, text]]
    if (depth >= MOST_DEPTH) return own
    if (text.startsWith('{')) return [...own, ...nestedMembers(members(text), `${path}.`, depth + 1)]
    if (!text.startsWith('[')) return own
    const list = elements(text).slice(0, MOST_ELEMENTS)
    return [
      ...own,
      ...nestedMembers(
        list.map((element, at) => [String(at), element]),
        `${path}.`,
        depth + 1,
      ),
    ]
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
