/** An error as the service answers it: status, substatus, and a body with code and message. */
export class CosmosError extends Error {
  readonly status: number
  readonly substatus: number
  readonly retryAfterMs: number | undefined

  constructor(status: number, message: string, options: { substatus?: number; retryAfterMs?: number } = {}) {
    super(message)
    this.status = status
    this.substatus = options.substatus ?? 0
    this.retryAfterMs = options.retryAfterMs
  }

  /** The body of the response. */
  body(activityId: string): string {
    const code = CODES[this.status] ?? String(this.status)
    const message = `Message: ${JSON.stringify({ Errors: [this.message] })}\r\nActivityId: ${activityId}, cosmos-local`
    return JSON.stringify({ code, message })
  }
}

const CODES: Record<number, string> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  408: 'RequestTimeout',
  409: 'Conflict',
  410: 'Gone',
  412: 'PreconditionFailed',
  413: 'RequestEntityTooLarge',
  424: 'FailedDependency',
  429: 'TooManyRequests',
  449: 'RetryWith',
  500: 'InternalServerError',
  503: 'ServiceUnavailable',
}

export const badRequest = (message: string, substatus?: number) =>
  new CosmosError(400, message, substatus === undefined ? {} : { substatus })

export const notFound = (message = 'Resource Not Found', substatus?: number) =>
  new CosmosError(404, message, substatus === undefined ? {} : { substatus })

/** What a path names above the resource is not there. */
export const noOwner = () => notFound('Owner resource does not exist', 1003)

export const conflict = (message: string) => new CosmosError(409, message)

export const preconditionFailed = () => new CosmosError(412, 'One of the specified pre-condition is not met')

/** The partition was split since the client looked. */
export const partitionGone = () =>
  new CosmosError(410, 'The requested resource is no longer available: the partition key range was split', {
    substatus: 1002,
  })

export const tooManyRequests = (retryAfterMs: number) =>
  new CosmosError(429, 'Request rate is large. More Request Units may be needed, so no changes were made.', {
    substatus: 3200,
    retryAfterMs,
  })

/** A query over several partitions that the client did not allow. */
export const crossPartitionDisabled = () =>
  badRequest(
    'Cross partition query is required but disabled. Please set x-ms-documentdb-query-enablecrosspartition to true, specify x-ms-documentdb-partitionkey, or revise your query to avoid this exception.',
  )
