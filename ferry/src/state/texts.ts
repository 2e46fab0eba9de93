/** JSON texts in the lines of runs, read through their schemas: what cannot be read is as if it was not there. */
import { z } from 'zod'
import { FerryError } from '../errors.ts'

const error = z.looseObject({ code: z.string(), message: z.string(), hint: z.string().default('') })
export type ErrorInfo = z.output<typeof error>

/** What was asked of a run before it began. */
const asked = z.object({
  /** Everything is copied again. */
  fresh: z.boolean().exactOptional(),
  /** Only these source objects. */
  only: z.array(z.string()).exactOptional(),
})
export type Asked = z.output<typeof asked>

/** How far a run was at a moment: seconds at work, rows and bytes read. */
const sample = z.tuple([z.number(), z.number(), z.number()])
export type Sample = z.output<typeof sample>

export const errorOf = (text: string | null): ErrorInfo | undefined => found(error, text)
/** Throws FERRY-5015 for a text that is none: the run would be another one than was asked for. */
export function askedOf(text: string | null): Asked {
  const read = found(asked, text)
  if (read === undefined && text !== null)
    throw new FerryError('FERRY-5015', `what was asked of the run cannot be read: ${text}`)
  return read ?? {}
}
export const samplesOf = (text: string | null): Sample[] => found(z.array(sample), text) ?? []

function found<T>(schema: z.ZodType<T>, text: string | null): T | undefined {
  if (text === null) return undefined
  try {
    return schema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}
