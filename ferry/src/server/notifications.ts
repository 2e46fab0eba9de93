/**
 * What stores send when objects arrive: Azure Event Grid, Amazon S3 (by SNS or EventBridge), Google Cloud Storage (by Pub/Sub).
 *
 * Sources: https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema,
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html,
 * https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html,
 * https://cloud.google.com/storage/docs/pubsub-notifications
 */
import { z } from 'zod'
import { alternatives, matchesPath, pathTokens } from '../glob.ts'

export type Notification =
  /** Asked whether the address is meant: what is to be answered. */
  | { kind: 'validation'; answer: { validationResponse: string } }
  /** A person has to open an address before notifications are sent. */
  | { kind: 'confirmation'; address: string }
  /** The names of objects that were created. */
  | { kind: 'created'; names: string[] }

const text = z.string().max(8000)
const address = z.url({ protocol: /^https$/ }).max(8000)

const gridEvent = z.object({
  eventType: text.optional(),
  type: text.optional(),
  subject: text.optional(),
  data: z.object({ validationCode: text.optional(), api: text.optional() }).optional(),
})
const awsRecord = z.object({ eventName: text, s3: z.object({ object: z.object({ key: text }) }) })
const awsRecords = z.object({ Records: z.array(awsRecord).max(10_000) })
const eventBridge = z.object({
  source: z.literal('aws.s3'),
  'detail-type': text,
  detail: z.object({ object: z.object({ key: text }) }),
})
const sns = z.object({ Type: text, Message: z.string().optional(), SubscribeURL: address.optional() })
const pubsub = z.object({ message: z.object({ attributes: z.record(z.string(), text) }) })

const BLOB_SUBJECT = /^\/blobServices\/default\/containers\/[^/]+\/blobs\/(.+)$/s

/** Undefined for what is no notification of these services. `depth`: a message may be in another one. */
export function readNotification(body: unknown, depth = 0): Notification | undefined {
  const grid = z
    .array(gridEvent)
    .min(1)
    .max(10_000)
    .or(gridEvent.transform(one => [one]))
  const awsFound = awsRecords.safeParse(body)
  if (awsFound.success) {
    const made = awsFound.data.Records.filter(r => /^(s3:)?ObjectCreated:/.test(r.eventName))
    return { kind: 'created', names: made.map(r => unescaped(r.s3.object.key)) }
  }
  // What S3 sends when notifications are turned on.
  if (z.object({ Event: z.literal('s3:TestEvent') }).safeParse(body).success) return { kind: 'created', names: [] }
  const bridge = eventBridge.safeParse(body)
  if (bridge.success) {
    const isMade = bridge.data['detail-type'] === 'Object Created'
    return { kind: 'created', names: isMade ? [bridge.data.detail.object.key] : [] }
  }
  const wrapped = sns.safeParse(body)
  if (wrapped.success && depth === 0) {
    const { Type, Message, SubscribeURL } = wrapped.data
    if (Type === 'SubscriptionConfirmation' && SubscribeURL) return { kind: 'confirmation', address: SubscribeURL }
    if (Type === 'UnsubscribeConfirmation') return { kind: 'created', names: [] }
    return Message === undefined ? undefined : readNotification(parsed(Message), depth + 1)
  }
  const push = pubsub.safeParse(body)
  if (push.success) {
    const { eventType, objectId } = push.data.message.attributes
    return { kind: 'created', names: eventType === 'OBJECT_FINALIZE' && objectId !== undefined ? [objectId] : [] }
  }
  const events = grid.safeParse(body)
  if (!events.success) return undefined
  const kindOf = (e: z.output<typeof gridEvent>) => e.eventType ?? e.type
  const asked = events.data.find(e => kindOf(e) === 'Microsoft.EventGrid.SubscriptionValidationEvent')
  if (asked?.data?.validationCode !== undefined) {
    return { kind: 'validation', answer: { validationResponse: asked.data.validationCode } }
  }
  if (!events.data.every(e => kindOf(e) !== undefined)) return undefined
  const made = events.data.filter(e => kindOf(e) === 'Microsoft.Storage.BlobCreated')
  return { kind: 'created', names: made.flatMap(e => BLOB_SUBJECT.exec(e.subject ?? '')?.[1] ?? []) }
}

/** S3 writes keys as in the query of an address. */
function unescaped(key: string): string {
  try {
    return decodeURIComponent(key.replaceAll('+', ' '))
  } catch {
    return key
  }
}

/** Undefined for what is no JSON. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The names that a pattern means: `**` is any number of folders. */
export function namesMatching(names: string[], pattern: string): string[] {
  const all = alternatives(pattern).map(one => pathTokens(one.split('/').filter(s => s !== '')))
  return names.filter(name => all.some(tokens => matchesPath(tokens, name.split('/'))))
}
