import type { FaultAt } from '../parts/faults.ts'
import type { Draft } from './draft.ts'

/** What every step of the wizard gets. */
export interface StepProps {
  draft: Draft
  set: (part: Partial<Draft>) => void
  /** What is wrong with a setting, by its place in the definition of the job. */
  fault: FaultAt
}
