/** Rows of the log, whose values come as PostgreSQL's own texts, as rows of a table's columns. */
import { parseText } from '../../batch/text.ts'
import { type Column, type LogicalType, type Row, typeName, type Value } from '../../batch/types.ts'
import { FerryError, RowError } from '../../errors.ts'
import { missingValue } from '../changes/drift.ts'
import type { LogTable } from '../changes/logtable.ts'
import { parseArray } from './arrays.ts'
import { type LogRelation, type Lsn, NULL, TEXT, type Tuple, UNCHANGED } from './pgoutput.ts'

type Decode = (text: string) => Value

export class RowOfTuple {
  readonly table: LogTable<Lsn>
  /** Of each column of the relation its position in the row, or -1. */
  private readonly places: number[]
  private readonly decoders: (Decode | undefined)[]
  private readonly width: number
  /** Values of the columns that the log does not have yet. */
  private readonly missing: { at: number; value: Value }[]

  constructor(table: LogTable<Lsn>, relation: LogRelation) {
    this.table = table
    const { columns } = table
    this.width = columns.length
    this.places = relation.columns.map(c => columns.findIndex(t => t.name === c.name))
    this.decoders = this.places.map(at => (at < 0 ? undefined : decoderOf(columns[at]!)))
    this.missing = columns.flatMap((c, at) =>
      relation.columns.some(r => r.name === c.name) ? [] : [{ at, value: missingValue(c) }],
    )
  }

  insert(tuple: Tuple): void {
    this.table.add(this.row(tuple), 'create', sizeOf(tuple))
  }

  update(old: Tuple | undefined, whole: boolean, tuple: Tuple): void {
    const row = this.row(tuple)
    const former = old && this.row(old)
    let unchanged = this.unchanged(tuple)
    if (unchanged && whole) {
      // The previous row has the values that did not change.
      for (const at of unchanged) row[at] = former![at]!
      unchanged = undefined
    }
    const more = { ...(unchanged ? { unchanged } : {}), ...(former ? { before: former } : {}) }
    this.table.add(row, 'replace', sizeOf(tuple), more)
  }

  delete(old: Tuple): void {
    this.table.add(this.row(old), 'delete', sizeOf(old))
  }

  truncate(): void {
    this.table.add([], 'clear', 1)
  }

  private row({ buffer, count, kinds, starts, ends }: Tuple): Row {
    const row: Row = new Array(this.width).fill(null)
    for (let i = 0; i < count; i++) {
      const at = this.places[i]!
      if (at < 0 || kinds[i] !== TEXT) continue
      const text = buffer.toString('utf8', starts[i], ends[i])
      row[at] = this.decoders[i]!(text)
    }
    for (const { at, value } of this.missing) row[at] = value
    return row
  }

  private unchanged({ count, kinds }: Tuple): number[] | undefined {
    let found: number[] | undefined
    for (let i = 0; i < count; i++) {
      if (kinds[i] !== UNCHANGED || this.places[i]! < 0) continue
      found ??= []
      found.push(this.places[i]!)
    }
    return found
  }
}

function sizeOf({ count, kinds, starts, ends }: Tuple): number {
  let bytes = 0
  for (let i = 0; i < count; i++) bytes += kinds[i] === NULL || kinds[i] === UNCHANGED ? 1 : ends[i]! - starts[i]! + 4
  return bytes
}

function decoderOf({ name, type }: Column): Decode {
  const decode = decoder(type)
  return text => {
    try {
      return decode(text)
    } catch (error) {
      if (!(error instanceof RowError)) throw error
      throw new RowError(error.code, `column ${name}: ${error.message}`, name)
    }
  }
}

function decoder(type: LogicalType): Decode {
  switch (type.kind) {
    case 'utf8':
    case 'json':
    case 'uuid':
    case 'numeric':
    case 'decimal':
      return text => text
    case 'bool':
      return text => text === 't'
    case 'int':
      return text => (text.length < 16 ? Number(text) : parseText(text, type))
    case 'float':
      return text => (type.bits === 32 ? Math.fround(Number(text)) : Number(text))
    case 'list': {
      const item = decoder(type.item)
      return text => parseArray(text, item)
    }
    case 'struct':
    case 'map':
      throw new FerryError('FERRY-9000', `PostgreSQL has no ${typeName(type)}`)
    default:
      return text => parseText(text, type)
  }
}
