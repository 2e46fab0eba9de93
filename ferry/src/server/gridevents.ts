/**
 * Events as Azure Event Grid sends them, in its own form and as CloudEvents.
 *
 * Sources: https://learn.microsoft.com/azure/event-grid/event-schema, https://learn.microsoft.com/azure/event-grid/cloud-event-schema
 */
import { z } from 'zod'
import { parsed } from './notifications.ts'

const text = z.string().max(8000)
const eventSchema = z.looseObject({
  eventType: text.optional(),
  type: text.optional(),
  subject: text.default(''),
  data: z.unknown().optional(),
})
const eventsSchema = z
  .array(eventSchema)
  .min(1)
  .max(5000)
  .or(eventSchema.transform(one => [one]))

export type GridEvents =
  /** Asked whether the address is meant: what is to be answered. */
  { validation: string } | { events: { type: string; subject: string; event: string }[] }

/** Undefined for what is no event. */
export function gridEventsOf(body: unknown): GridEvents | undefined {
  const found = eventsSchema.safeParse(typeof body === 'string' ? parsed(body) : body)
  if (!found.success) return undefined
  const typeOf = (e: z.output<typeof eventSchema>) => e.eventType ?? e.type
  const asked = found.data.find(e => typeOf(e) === 'Microsoft.EventGrid.SubscriptionValidationEvent')
  const { validationCode } = (asked?.data ?? {}) as { validationCode?: unknown }
  if (typeof validationCode === 'string') return { validation: validationCode }
  if (!found.data.every(e => typeOf(e) !== undefined)) return undefined
  return { events: found.data.map(e => ({ type: typeOf(e)!, subject: e.subject, event: JSON.stringify(e) })) }
}
