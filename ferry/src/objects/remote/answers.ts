/** What a service answered wrongly, told as an error of Ferry, and without what is secret. */
import { FerryError } from '../../errors.ts'
import type { ObjectService } from './service.ts'

/** Throws an error that passes if an answer is not of the range that was asked for, as `Content-Range` tells. */
export function requireRange(range: string | undefined | null, start: number): void {
  const from = /^bytes (\d+)-/.exec(range ?? '')?.[1]
  if (from === undefined ? start === 0 : Number(from) === start) return
  throw new Error(`the store sent bytes from ${from ?? 'the beginning'}, and byte ${start} was asked for`)
}

/** What a service says of an error, whatever it is: FERRY-2007 where it knows none; but for work that was stopped. */
export function told(service: Pick<ObjectService, 'explain' | 'secrets'>, error: unknown, key: string): unknown {
  if ((error as Error).name === 'AbortError') return error
  const found = service.explain(error, key)
  const { message, code, name } = error as Error & { code?: unknown }
  const why = message || String(code ?? name)
  const ferry =
    found instanceof FerryError
      ? found
      : new FerryError('FERRY-2007', `${key}: ${why}`, {
          hint: 'The store did not answer as it should, or the connection broke again and again: run again.',
          cause: error,
        })
  return withoutSecrets(ferry, service.secrets ?? [])
}

/** Pages of gateways repeat addresses, signatures and all. */
function withoutSecrets(error: FerryError, secrets: readonly string[]): FerryError {
  const all = secrets.filter(s => s.length > 5).flatMap(s => [s, encodeURIComponent(s)])
  const clean = all.reduce((text, secret) => text.replaceAll(secret, '***'), error.message)
  return clean === error.message ? error : new FerryError(error.code, clean, { hint: error.hint })
}
