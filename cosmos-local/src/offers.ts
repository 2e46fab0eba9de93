/** Offers: the throughput of databases and containers. */
import type { Account, Offer } from './account.ts'
import { notFound } from './errors.ts'
import { type JsonObject, parseObject } from './json.ts'
import { list, selectFrom } from './lists.ts'
import type { Answer, Request } from './protocol.ts'

function shownOffer(offer: Offer): JsonObject {
  const rid = Buffer.from(`o${String(offer.num).padStart(2, '0')}`).toString('base64')
  return {
    id: rid,
    _rid: rid,
    _self: `offers/${rid}/`,
    _etag: `"${offer.ts}"`,
    _ts: offer.ts,
    resource: offer.resource,
    offerResourceId: offer.resource.replace(/\/$/, '').split('/').at(-1)!,
    offerType: 'Invalid',
    offerVersion: 'V2',
    content: { ...offer.content, offerIsRUPerMinuteThroughputEnabled: false } as unknown as JsonObject,
  }
}

export function offers(account: Account, request: Request): Answer {
  const all = account.allOffers()
  if (request.path.length === 1) return list('Offers', '', selectFrom(all.map(shownOffer), request), request)
  const wanted = request.path[1]!.toLowerCase()
  const found = all.find(o => String(shownOffer(o).id).toLowerCase() === wanted)
  if (!found) throw notFound()
  if (request.method !== 'PUT') return { body: JSON.stringify(shownOffer(found)) }
  const { content } = parseObject(request.body)
  return {
    body: JSON.stringify(shownOffer(account.replaceOffer(found.num, content as unknown as Offer['content']))),
    charge: 9.9,
  }
}
