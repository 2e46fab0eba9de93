/** What S3 answers, with the next step. The codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html */
import { type ErrorCode, FerryError } from '../../errors.ts'
import type { S3Settings } from './settings.ts'

/** By the service's own code: Ferry's code, and what to do. */
const KNOWN: Record<string, [code: ErrorCode, hint: string]> = {
  InvalidAccessKeyId: [
    'FERRY-2002',
    'Check accessKeyId: the service does not know it, or it belongs to another account.',
  ],
  SignatureDoesNotMatch: ['FERRY-2002', 'Check secretAccessKey; a proxy that alters requests has the same effect.'],
  ExpiredToken: ['FERRY-2002', 'The session token is over: give a fresh one, or use the identity of the machine.'],
  InvalidToken: ['FERRY-2002', 'Check sessionToken: it belongs to these keys only.'],
  RequestTimeTooSkewed: [
    'FERRY-2002',
    "This machine's clock differs from the service's by more than 15 minutes: set it.",
  ],
  RequestExpired: ['FERRY-2002', "This machine's clock differs from the service's by more than 15 minutes: set it."],
  AccessDenied: [
    'FERRY-2004',
    'Grant what the README of this connector lists; a bucket policy that wants a certain network (VPC endpoint) or encryption answers in the same way.',
  ],
  AllAccessDisabled: ['FERRY-2004', 'The owner of the bucket has no access any more.'],
  NoSuchBucket: ['FERRY-2001', 'Check the name of the bucket, and the endpoint.'],
  NoSuchKey: ['FERRY-3001', 'It was removed meanwhile, or its name is another one: upper and lower case differ.'],
  InvalidObjectState: ['FERRY-2004', 'The object is archived (Glacier): restore it, then run again.'],
  InvalidBucketName: ['FERRY-2003', 'Check the name of the bucket.'],
  SlowDown: [
    'FERRY-2005',
    'The service asks for fewer requests: fewer splits at one time (limits.parallel), then run again.',
  ],
  NotImplemented: [
    'FERRY-2007',
    'The service does not know this request: with `checksum: none` Ferry sends plainer ones.',
  ],
}

const UNREACHABLE =
  /^(ENOTFOUND|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)/
const BROKEN = /^(ECONNRESET|EPIPE|ETIMEDOUT|ERR_STREAM_PREMATURE_CLOSE)/

export function explainS3(error: unknown, key: string, settings: S3Settings): unknown {
  if (error instanceof FerryError || !(error instanceof Error)) return error
  const { name, message } = error
  const {
    code = '',
    $metadata,
    $response,
  } = error as {
    code?: string
    $metadata?: { httpStatusCode?: number }
    $response?: { headers?: Record<string, string> }
  }
  const place = key.includes('://') ? key : `s3://${settings.bucket}/${key}`
  const told = (ferry: ErrorCode, hint?: string) =>
    new FerryError(ferry, `${place}: ${name === 'Error' || message.startsWith(name) ? '' : `${name}: `}${message}`, {
      cause: error,
      ...(hint === undefined ? {} : { hint }),
    })
  const known = KNOWN[name]
  if (known) return told(...known)
  if (UNREACHABLE.test(code)) return told('FERRY-2001', 'Check endpoint and network.')
  if (BROKEN.test(code) || name === 'TimeoutError') return told('FERRY-2005')
  if (name === 'CredentialsProviderError') {
    return told(
      'FERRY-2002',
      'This machine has no identity of AWS: give the connection accessKeyId and secretAccessKey, or `credentials: anonymous`.',
    )
  }
  const status = $metadata?.httpStatusCode
  const region = $response?.headers?.['x-amz-bucket-region']
  if (status === 301 || /AuthorizationHeaderMalformed|PermanentRedirect|IllegalLocationConstraint/.test(name)) {
    const own = region ?? /expecting '([a-z0-9-]+)'/.exec(message)?.[1]
    return told(
      'FERRY-2003',
      own ? `The bucket is in ${own}: region: ${own}.` : 'The bucket is in another region: set `region`.',
    )
  }
  if (status === 401) return told('FERRY-2002')
  if (status === 403) return told(...KNOWN.AccessDenied!)
  if (status === 404) return told('FERRY-3001')
  if (status === 503 || status === 429) return told(...KNOWN.SlowDown!)
  if (status !== undefined) return told('FERRY-2007')
  return code === '' ? error : told('FERRY-2001')
}
