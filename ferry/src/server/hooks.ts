/** Hooks: addresses that anybody may call who has the secret of their trigger. */
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { FerryError } from '../errors.ts'
import type { State } from '../state/database.ts'
import { isHookSecret } from '../state/secrets.ts'

/** The bytes of one notification: Event Grid sends up to 1 MB. */
const MOST_EVENTS = 1_100_000

export interface HookCall {
  params: { name: string; trigger: string }
  query: { secret?: string | undefined }
  headers: { authorization?: string | undefined }
}

export const hookQuery = z.strictObject({
  secret: z.string().max(600).optional().describe('Where no header can be sent'),
})
export const hookHeaders = z.object({ authorization: z.string().max(2000).optional() })

/** What routes of hooks share; `ownerOf` names whose triggers they are, as their secrets are kept. */
export function hookOf(state: State, ownerOf: (name: string) => string) {
  /** Whether a call has the secret: as a bearer token, as the password of any user, or in its address. */
  async function hasSecret({ params, query, headers }: HookCall): Promise<boolean> {
    const given = secretIn(headers.authorization, query.secret)
    return given !== undefined && (await isHookSecret(state, ownerOf(params.name), params.trigger, given))
  }

  return {
    /** Throws FERRY-6001. */
    requireSecret: async (call: HookCall): Promise<void> => {
      if (await hasSecret(call)) return
      throw new FerryError('FERRY-6001', 'the secret of the trigger is missing or wrong')
    },
    config: {
      // The secret is what admits a caller.
      role: 'public' as const,
      rateLimit: { max: 600, timeWindow: '1 minute' },
      // Who has the secret may send large bodies.
      admits: async (request: FastifyRequest) => {
        const call = request as unknown as HookCall
        return (await hasSecret(call)) ? `hook ${call.params.name}/${call.params.trigger}` : undefined
      },
    },
    bodyLimit: MOST_EVENTS,
  }
}

/** The secret of a call: a bearer token, the password of any user, or in the address; undefined where there is none. */
function secretIn(authorization: string | undefined, inAddress: string | undefined): string | undefined {
  const [, scheme, words] = /^(Bearer|Basic) +(.+)$/i.exec(authorization ?? '') ?? []
  if (words === undefined) return inAddress || undefined
  if (!/^basic$/i.test(scheme!)) return words
  return (
    Buffer.from(words, 'base64')
      .toString('utf8')
      .replace(/^[^:]*:/, '') || undefined
  )
}
