/**
 * Filters and queries in the words of a job, as parts of statements. They stand in parentheses, where a comment at their
 * end swallows nothing; that they cannot close these is proven by `probes` before a statement is made of them.
 */
import type { FerryError } from '../errors.ts'

/** A query as a relation of a statement. */
export const subquery = (query: string): string => `(${stripSemicolon(query)}\n)`

/** Conditions that all must hold, as the end of a statement; nothing where there is none. */
export function whereAll(...conditions: (string | undefined)[]): string {
  const all = allOf(...conditions)
  return all === undefined ? '' : ` WHERE ${all}`
}

/** The same as one condition. */
export function allOf(...conditions: (string | undefined)[]): string | undefined {
  const said = conditions.filter(c => c !== undefined && c !== '')
  return said.length === 0 ? undefined : said.map(c => `(${c}\n)`).join(' AND ')
}

/** A statement that a store must accept as one without parameters; which setting it proves. */
export interface Probe {
  setting: 'query' | 'where'
  sql: string
}

/**
 * What proves that query and filter are each one whole. A text that is accepted by itself has no parenthesis too many, so
 * that where it is accepted in parentheses too these are the ones that belong together.
 */
export function probes(from: string, { query, where }: { query?: string; where?: string }): Probe[] {
  const found: Probe[] = []
  if (query !== undefined) {
    found.push({ setting: 'query', sql: stripSemicolon(query) }, { setting: 'query', sql: `SELECT NULL FROM ${from}` })
  }
  if (where !== undefined) {
    found.push({ setting: 'where', sql: `SELECT NULL FROM ${from} WHERE ${where}\n` })
    found.push({ setting: 'where', sql: `SELECT NULL FROM ${from} WHERE (${where}\n)` })
  }
  return found
}

/** The error of a probe, which names the setting that is wrong. */
export function ofProbe(error: FerryError, { setting }: Probe): FerryError {
  error.faults.push({ path: setting, message: error.message })
  return error
}

/** A query that can be put into parentheses. */
export function stripSemicolon(query: string): string {
  return query.trim().replace(/;\s*$/, '')
}
