/** PostgreSQL's text COPY format, for columns whose types have no binary encoder here. */
import { formatText } from '../../batch/text.ts'
import type { LogicalType, Row, Value } from '../../batch/types.ts'
import { RowError } from '../../errors.ts'
import { MESSAGE_HEADER, sealMessage } from './messages.ts'

const SPECIAL = /[\\\t\n\r]/g
const ESCAPES: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }

/** Mutex rows into the messages of a text COPY; has the same shape as BinaryWriter. */
export class TextWriter {
  readonly header = Buffer.alloc(0)
  readonly trailer = Buffer.alloc(0)
  private readonly columns: { name: string; type: LogicalType; native: string }[]
  private pieces: string[] = []
  size = 0

  constructor(columns: { name: string; type: LogicalType; native: string }[]) {
    this.columns = columns
  }

  row(row: Row): void {
    let line = ''
    for (const [i, column] of this.columns.entries()) {
      if (i > 0) line += '\t'
      const value = row[i]!
      if (value === null) {
        line += '\\N'
        continue
      }
      const text = literal(value, column.type, column.native)
      if (text.includes('\0')) {
        throw new RowError(
          'FERRY-4001',
          `column ${column.name}: PostgreSQL text cannot hold a NUL character`,
          column.name,
        )
      }
      if (!text.isWellFormed()) {
        throw new RowError('FERRY-4001', `column ${column.name}: the text has half a surrogate pair`, column.name)
      }
      line += text.replace(SPECIAL, c => ESCAPES[c]!)
    }
    this.pieces.push(line, '\n')
    this.size += line.length + 1
  }

  take(): Buffer {
    const text = this.pieces.join('')
    const taken = Buffer.allocUnsafe(MESSAGE_HEADER + Buffer.byteLength(text))
    taken.write(text, MESSAGE_HEADER)
    sealMessage(taken)
    this.pieces = []
    this.size = 0
    return taken
  }
}

/** A value as PostgreSQL's input functions read it: canonical text, but arrays in braces. */
function literal(value: Exclude<Value, null>, type: LogicalType, native: string): string {
  if (type.kind !== 'list' || !native.endsWith('[]')) return formatText(value, type)
  const items = (value as Value[]).map(item => {
    if (item === null) return 'NULL'
    return `"${literal(item, type.item, native.slice(0, -2)).replace(/["\\]/g, '\\$&')}"`
  })
  return `{${items.join(',')}}`
}
