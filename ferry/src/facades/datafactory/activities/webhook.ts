/** A call whose answer comes later, to an address that is given with it. */
import { FerryError } from '../../../errors.ts'
import type { ActivityContext, ActivityKind } from '../../../pipelines/activity.ts'
import { ActivityFailure } from '../../../pipelines/errors.ts'
import {
  isObject,
  parseValue,
  printValue,
  textOf,
  type Value,
  type ValueObject,
} from '../../../pipelines/expressions/values.ts'
import { requireBoolean, requireObject, requireSpan } from '../../../pipelines/resolve.ts'
import { answerOf, callbackFor, closeCallback, markCalled } from '../../../state/callbacks.ts'
import type { Running } from '../context.ts'
import { request } from '../web.ts'
import { refused, shown, targetOf } from './web.ts'

const DEFAULT_TIMEOUT_MS = 600_000
const REQUEST_MS = 60_000
const LOOK_MS = 500
const MOST_BYTES = 4_000_000

export function webHookActivity(around: Running): ActivityKind {
  return { type: 'WebHook', isOutside: true, run: context => callAndWait(around, context) }
}

async function callAndWait({ state, policy, callbacks }: Running, context: ActivityContext): Promise<ValueObject> {
  if (callbacks === undefined) {
    throw new FerryError('FERRY-7006', 'nobody receives the answer of a webhook: no server works with this state', {
      hint: 'Start one: ferry serve; an address that others reach is its --public-url.',
    })
  }
  const { url, method, headers } = await targetOf(context, ['POST'], policy)
  const given = context.property('timeout')
  const limit = given === undefined ? DEFAULT_TIMEOUT_MS : requireSpan(given, 'timeout')
  const reports =
    context.activity.typeProperties.reportStatusOnCallBack !== undefined &&
    requireBoolean(context.property('reportStatusOnCallBack'), 'reportStatusOnCallBack')
  const { runId: run, key, attempt } = context
  await context.flush()
  const { id, isCalled } = await callbackFor(state.db, { run, key, attempt })
  const body = context.property('body')
  const sent = {
    ...(body === undefined || body === null
      ? {}
      : requireObject(typeof body === 'string' ? parseValue(body) : body, 'body')),
  }
  context.told({ url: shown(url), method, body: { ...sent } })
  sent.callBackUri = `${callbacks}/api/v1/callbacks/${id}`
  // Who goes on with the run waits for the answer to the call that was made.
  if (!isCalled) {
    const words = { method, headers: { 'content-type': 'application/json', ...headers }, body: printValue(sent) }
    const answer = await request(url, words, { limit: REQUEST_MS, signal: context.signal, most: MOST_BYTES })
    if (answer.status >= 400) throw refused(url, answer)
    await markCalled(state.db, id)
  }
  try {
    for (;;) {
      const came = await answerOf(state.db, id)
      if (came !== undefined) return outputOf(came, reports)
      if (Date.now() - context.startedAt >= limit) break
      await context.sleep(LOOK_MS)
    }
  } catch (error) {
    // Who goes on with the run waits on.
    if (context.signal.aborted && context.signal.reason !== 'stop') await closeCallback(state.db, id)
    throw error
  }
  const last = await closeCallback(state.db, id)
  if (last !== undefined) return outputOf(last, reports)
  throw new ActivityFailure('2115', `No answer came to the webhook within ${limit / 1000} seconds`)
}

/** What was sent back; with `reports` a status of 400 or more, or an error in it, fails the activity. */
function outputOf(text: string, reports: boolean): ValueObject {
  let found: Value
  try {
    found = text.trim() === '' ? {} : parseValue(text)
  } catch {
    found = text
  }
  const output: ValueObject = isObject(found) ? found : { Response: found }
  if (!reports) return output
  const named = (name: string) => Object.entries(output).find(([key]) => key.toLowerCase() === name)?.[1]
  const status = Number(textOf(named('statuscode') ?? 200))
  const error = named('error')
  if (status < 400 && !isObject(error)) return output
  const part = (name: string) =>
    isObject(error) ? Object.entries(error).find(([k]) => k.toLowerCase() === name)?.[1] : undefined
  throw new ActivityFailure(
    textOf(part('errorcode') ?? String(status)),
    textOf(part('message') ?? `the webhook was answered with the status ${status}`),
    output,
  )
}
