/**
 * The forms in which rows can travel from a source to a destination. A sink offers the forms that it takes, best first; the
 * first one that the source can make is used. `rows` is the one that every store has.
 *
 * A form of a store's own is declared where it is at home: its type by merging into {@link Offers}, its schema in
 * `Kind.encodings`.
 */
import { z } from 'zod'
import type { CsvDialect } from '../batch/encoding.ts'
import type { LogicalType } from '../batch/types.ts'
import { logicalType } from '../batch/typeschema.ts'

/** Parameters of a form, from the sink: the source needs them to write it. */
export interface Offers {
  /** JavaScript values by position. */
  rows: { encoding: 'rows' }
  /** RFC 4180 text, as a stream of bytes. */
  csv: CsvOffer
}

export type Offer = Offers[keyof Offers]
/** What every store gives and takes. */
export const ROWS: Offers['rows'] = { encoding: 'rows' }

/** The name of a form. */
export type Encoding = Offer['encoding']

export interface CsvOffer {
  encoding: 'csv'
  /** The type of each column. */
  types: LogicalType[]
  /** The destination's own name of each type, where its reader goes by it. */
  wire?: string[]
  /** `any`: the reader takes every dialect that has quotes and a delimiter in ASCII. */
  dialect: CsvDialect | 'any'
  /**
   * What becomes of a field that is not canonical text of its column's type: `refused` where it is not of the type at all,
   * `rounded` to a value of the type, or `kept` as text.
   */
  misfits: 'refused' | 'rounded' | 'kept'
}

const dialect = z.looseObject({
  delimiter: z.string(),
  quote: z.string(),
  escape: z.string(),
  nullText: z.string(),
  encoding: z.string(),
})

/** The schemas of the forms that belong to no store: plans are saved with the chosen form. */
export const COMMON_ENCODINGS: Record<string, z.ZodType> = {
  rows: z.object({ encoding: z.literal('rows') }),
  csv: z.object({
    encoding: z.literal('csv'),
    types: z.array(logicalType),
    wire: z.array(z.string()).exactOptional(),
    dialect: z.union([dialect, z.literal('any')]),
    misfits: z.enum(['refused', 'rounded', 'kept']),
  }),
}
