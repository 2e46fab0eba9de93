/** The condition of a patch: `from c where c.status = "open"`. */
import type { JsonObject } from '../json.ts'
import { compileQuery } from './evaluate.ts'
import { parseQuery } from './parse.ts'

export function conditionOf(text: string | undefined): ((document: JsonObject) => boolean) | undefined {
  if (text === undefined) return undefined
  const run = compileQuery(parseQuery(`SELECT VALUE 1 ${text}`), {})
  return document => run([{ names: { ROOT: document } }]).length > 0
}
