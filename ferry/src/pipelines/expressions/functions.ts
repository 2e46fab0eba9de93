/** All functions of expressions, by their names in lower case: Data Factory takes them in any case. */
import type { FunctionOf } from './function.ts'
import { COLLECTIONS } from './functions/collections.ts'
import { CONVERSION } from './functions/conversion.ts'
import { DATES } from './functions/dates.ts'
import { LOGIC } from './functions/logic.ts'
import { MATH } from './functions/math.ts'
import { STRINGS } from './functions/strings.ts'

export const FUNCTIONS: ReadonlyMap<string, FunctionOf> = new Map(
  [...STRINGS, ...COLLECTIONS, ...LOGIC, ...CONVERSION, ...MATH, ...DATES].map(f => [f.name.toLowerCase(), f]),
)
