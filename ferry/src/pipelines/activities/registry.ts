import type { ActivityKind } from '../activity.ts'
import { executePipeline, forEach, ifCondition, switchActivity, until, untilAnswer } from './control.ts'
import { appendVariable, fail, filter, setVariable, wait } from './simple.ts'

/** The activities that need nothing but the run itself. */
export const CONTROL: readonly ActivityKind[] = [
  setVariable,
  appendVariable,
  filter,
  wait,
  fail,
  ifCondition,
  switchActivity,
  forEach,
  until,
  untilAnswer,
  executePipeline,
]
