/**
 * One change of the all-versions feed.
 *
 * Source: https://learn.microsoft.com/azure/cosmos-db/nosql/change-feed-modes
 */
import type { Change } from '../../batch/encoding.ts'
import { memberTexts } from '../../batch/json.ts'
import { ownText } from './documents.ts'

export interface DocumentChange {
  change: Change
  /** The document as it is now; a deleted one as it was, or its id and partition key if the feed has no more. */
  document: string
  /** When it happened, in seconds since 1970. */
  at: number | undefined
}

interface Metadata {
  operationType: Change
  crts?: number
  id?: string
  /** The key with the names of its properties. */
  partitionKey?: Record<string, unknown>
}

export function changeIn(text: string, keyPaths: string[][]): DocumentChange {
  const parts = new Map(memberTexts(text).map(({ key, value }) => [key, value]))
  const metadata = JSON.parse(parts.get('"metadata"') ?? '{}') as Metadata
  const { operationType: change, crts: at } = metadata
  if (change !== 'delete') return { change, document: ownText(parts.get('"current"')!), at }
  const previous = parts.get('"previous"')
  const isTold = previous !== undefined && previous !== 'null' && previous !== '{}'
  return { change, document: isTold ? ownText(previous) : skeleton(metadata, keyPaths), at }
}

/** What is known of a deleted document: its id and its partition key, where they stood. */
function skeleton({ id, partitionKey = {} }: Metadata, keyPaths: string[][]): string {
  const document: Record<string, unknown> = { id }
  for (const path of keyPaths) {
    const name = path.at(-1)!
    if (!(name in partitionKey) || path.join() === 'id') continue
    let place = document
    for (const step of path.slice(0, -1)) {
      place[step] ??= {}
      place = place[step] as Record<string, unknown>
    }
    place[name] = partitionKey[name]
  }
  return JSON.stringify(document)
}
