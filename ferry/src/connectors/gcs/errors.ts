/** What Google Cloud Storage answers, with the next step. The codes: https://cloud.google.com/storage/docs/json_api/v1/status-codes */
import { type ErrorCode, FerryError } from '../../errors.ts'
import type { GcsSettings } from './settings.ts'

export interface GcsError extends Error {
  status: number
}

/** By the status of the answer: Ferry's code, and what to do. */
const KNOWN: Record<number, [code: ErrorCode, hint: string]> = {
  400: ['FERRY-2007', 'Check the settings of the connection; a bucket where the requester pays needs `userProject`.'],
  401: [
    'FERRY-2002',
    'Check serviceAccountKey: it may be deleted or disabled; a clock of this machine that is wrong has the same answer.',
  ],
  403: [
    'FERRY-2004',
    'Give the identity the role Storage Object Viewer (source) or Storage Object User (destination); a perimeter of VPC Service Controls answers in the same way.',
  ],
  404: ['FERRY-2001', 'Check the name of the bucket.'],
  429: [
    'FERRY-2005',
    'The service asks for fewer requests: fewer splits at one time (limits.parallel), then run again.',
  ],
  503: ['FERRY-2005', 'The service is busy: run again.'],
}

export function explainGcs(error: unknown, key: string, settings: GcsSettings): unknown {
  if (error instanceof FerryError || !(error instanceof Error)) return error
  const place = key.includes('://') ? key : `gs://${settings.bucket}/${key}`
  const { status } = error as GcsError
  const cause = error.cause as (Error & { code?: string }) | undefined
  const told = (code: ErrorCode, hint?: string) =>
    new FerryError(code, `${place}: ${cause?.message ?? error.message}`, {
      cause: error,
      ...(hint === undefined ? {} : { hint }),
    })
  if (cause instanceof FerryError) return cause
  const known = KNOWN[status]
  if (known) return told(...known)
  if (status !== undefined) return told('FERRY-2007')
  if (/default credentials|refresh|invalid_grant|private key|PEM|DECODER/i.test(error.message)) {
    return told('FERRY-2002', 'Check serviceAccountKey, or that this machine has an identity of Google Cloud.')
  }
  if (error.name === 'TimeoutError') return told('FERRY-2005')
  return cause ? told('FERRY-2001', 'Check endpoint and network.') : error
}
