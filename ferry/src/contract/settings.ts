/** Settings of connections, checked. */
import type { z } from 'zod'
import { FerryError } from '../errors.ts'
import { faultsIn, toldFaults } from '../faults.ts'
import type { Settings } from './store.ts'

/** The settings of a connection, checked by its schema. Throws FERRY-2003 naming each setting that is wrong. */
export function checkSettings<T extends z.ZodObject>(kind: string, schema: T, settings: Settings): z.output<T> {
  const faults = faultsIn(schema, settings)
  if (faults.length > 0) throw wrongSettings(kind, ...faults.map(f => [f.path, f.message] as const))
  return schema.parse(settings)
}

/** FERRY-2003: each setting that is wrong, and what is wrong with it. */
export function wrongSettings(kind: string, ...wrong: (readonly [setting: string, message: string])[]): FerryError {
  const faults = wrong.map(([path, message]) => ({ path, message }))
  return new FerryError('FERRY-2003', toldFaults(faults.map(f => ({ ...f, path: `${kind} connection: ${f.path}` }))), {
    faults,
  })
}

/** A connector's own options, checked by its schema. Throws FERRY-1003 naming each option that is wrong. */
export function checkOptions<T extends z.ZodObject>(
  schema: T,
  options: Record<string, unknown>,
  side: 'read' | 'write',
): z.output<T> {
  const faults = faultsIn(schema, options, side)
  if (faults.length === 0) return schema.parse(options)
  throw new FerryError('FERRY-1003', toldFaults(faults), {
    faults,
    hint: `Options: ${Object.keys(schema.shape).join(', ')}.`,
  })
}
