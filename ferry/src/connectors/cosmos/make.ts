/** How a row becomes a document: as it is, or made of its columns; `address.city` goes into an object `address`. */
import { someMembers, toJson } from '../../batch/json.ts'
import type { LogicalType, Row } from '../../batch/types.ts'
import { DOCUMENT, type MappedColumn } from '../../contract/schema.ts'

export interface MadeDocument {
  text: string
  /** The members that were asked for, parsed. */
  members: Record<string, unknown>
}

/** The place of a column's value in the text. */
interface Place {
  at: number
  name: string
  type: LogicalType
  /** Whether the value is also asked for as a member. */
  wanted: boolean
}

/** Makes documents; `wanted` are the members that hold id, keys and identity. */
export function documentMaker(columns: MappedColumn[], wanted: string[]): (row: Row) => MadeDocument {
  const whole = columns.findIndex(c => c.name === DOCUMENT)
  if (whole >= 0) {
    return row => {
      const text = row[whole] as string
      return { text, members: someMembers(text, wanted) }
    }
  }
  const parts = partsOf(columns, wanted)
  // An object that is asked for is made of several columns: it is read from the text.
  const isNested = columns.some(c => c.name.includes('.') && wanted.includes(c.name.split('.')[0]!))
  return row => {
    const members: Record<string, unknown> = {}
    let text = ''
    for (const part of parts) {
      if (typeof part === 'string') text += part
      else {
        const value = valueText(row, part)
        text += value
        if (part.wanted) members[part.name] = JSON.parse(value)
      }
    }
    return { text, members: isNested ? someMembers(text, wanted) : members }
  }
}

function valueText(row: Row, { at, name, type }: Place): string {
  const value = row[at]!
  if (value === null) return 'null'
  // The id of a document is a text, whatever the key was.
  return name === 'id' && typeof value !== 'string' ? JSON.stringify(String(value)) : toJson(value, type)
}

/** The text of a document in pieces: what is the same in each of them, and the places of values. */
function partsOf(columns: MappedColumn[], wanted: string[]): (string | Place)[] {
  interface Node {
    at?: number
    members: Map<string, Node>
  }
  const root: Node = { members: new Map() }
  for (const [at, column] of columns.entries()) {
    let node = root
    for (const step of column.name.split('.')) {
      const next: Node = node.members.get(step) ?? { members: new Map() }
      node.members.set(step, next)
      node = next
    }
    node.at = at
  }
  const parts: (string | Place)[] = []
  const add = (part: string) => {
    const last = parts.at(-1)
    if (typeof last === 'string') parts[parts.length - 1] = last + part
    else parts.push(part)
  }
  const write = (node: Node) => {
    if (node.at !== undefined) {
      const { name, type } = columns[node.at]!
      parts.push({ at: node.at, name, type, wanted: wanted.includes(name) })
      return
    }
    add('{')
    for (const [i, [name, inner]] of [...node.members].entries()) {
      add(`${i > 0 ? ',' : ''}${JSON.stringify(name)}:`)
      write(inner)
    }
    add('}')
  }
  write(root)
  return parts
}
