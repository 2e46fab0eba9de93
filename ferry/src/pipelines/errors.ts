/** How activities fail: with the names that Data Factory's `error` of an activity has. */
import { asFerryError, FerryError } from '../errors.ts'
import type { ValueObject } from './expressions/values.ts'

export interface ActivityError extends ValueObject {
  errorCode: string
  message: string
  failureType: string
  target: string
}

/** An activity that fails with a code of its own, as `Fail` and web requests do. */
export class ActivityFailure extends Error {
  readonly errorCode: string
  /** What the activity has put out all the same. */
  readonly output: ValueObject | undefined

  constructor(errorCode: string, message: string, output?: ValueObject) {
    super(message)
    this.errorCode = errorCode
    this.output = output
  }
}

/** Thrown where a run is stopped or cancelled: no activity catches it. */
export class Stopped extends Error {
  readonly how: 'stop' | 'cancel'

  constructor(how: 'stop' | 'cancel') {
    super(how === 'cancel' ? 'the run is cancelled' : 'the run is stopped')
    this.how = how
  }
}

export function activityError(error: unknown, activity: string): ActivityError {
  if (error instanceof ActivityFailure) {
    return { errorCode: error.errorCode, message: error.message, failureType: 'UserError', target: activity }
  }
  const { code, message, hint } = asFerryError(error)
  const failureType = code === 'FERRY-9000' ? 'SystemError' : 'UserError'
  return { errorCode: code, message: hint ? `${message}. ${hint}` : message, failureType, target: activity }
}

/** The error of a pipeline, in the words of its first failed activity. */
export function targetFailed(activity: string, error: ActivityError): FerryError {
  return new FerryError('FERRY-7005', `Operation on target ${activity} failed: ${error.message}`)
}
