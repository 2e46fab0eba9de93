/**
 * Events as Azure Event Grid sends them, in its own form and as CloudEvents.
 *
 * Sources: https://learn.microsoft.com/azure/event-grid/event-schema, https://learn.microsoft.com/azure/event-grid/cloud-event-schema
 */
import { z } from 'zod'
import { parseValue, printValue, type Value } from '../pipelines/expressions/values.ts'

const MOST_EVENTS = 5000

const text = z.string().max(8000)
const eventSchema = z.looseObject({
  id: text.optional(),
  eventType: text.optional(),
  type: text.optional(),
  subject: text.default(''),
  data: z.unknown().optional(),
})

export interface ToldEvent {
  id: string | undefined
  type: string
  subject: string
  /** The whole event as JSON, with every digit that it came with. */
  event: string
}

export type GridEvents =
  /** Asked whether the address is meant: what is to be answered. */
  { validation: string } | { events: ToldEvent[] }

/** Undefined for what is no event. */
export function gridEventsOf(body: string): GridEvents | undefined {
  let value: Value
  try {
    value = parseValue(body)
  } catch {
    return undefined
  }
  const all = Array.isArray(value) ? value : [value]
  if (all.length === 0 || all.length > MOST_EVENTS) return undefined
  const events: ToldEvent[] = []
  for (const one of all) {
    const found = eventSchema.safeParse(one)
    const type = found.data?.eventType ?? found.data?.type
    if (!found.success || type === undefined) return undefined
    const { validationCode } = (found.data.data ?? {}) as { validationCode?: unknown }
    if (type === 'Microsoft.EventGrid.SubscriptionValidationEvent' && typeof validationCode === 'string') {
      return { validation: validationCode }
    }
    events.push({ id: found.data.id, type, subject: found.data.subject, event: printValue(one) })
  }
  return { events }
}
