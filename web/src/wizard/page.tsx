/** Making or editing a copy job, step by step. */
import { Badge, Button, makeStyles, mergeClasses, Spinner, Text, tokens } from '@fluentui/react-components'
import { useQuery } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import { Link } from 'wouter'
import { jobQuery, versionOf } from '../api.ts'
import { Empty } from '../parts/empty.tsx'
import { Failure } from '../parts/failure.tsx'
import { faultAt } from '../parts/faults.ts'
import { useKept } from '../parts/kept.ts'
import { PageHead } from '../parts/page.tsx'
import { type Draft, draftOf, emptyDraft } from './draft.ts'
import { STEPS, type Step, stepOf, useFaults } from './faults.ts'
import { MappingStep } from './mapping.tsx'
import { ModeStep } from './mode.tsx'
import { type Edited, ReviewStep } from './review.tsx'
import { ScheduleStep } from './schedule.tsx'
import { StoreStep } from './store.tsx'
import { TablesStep } from './tables.tsx'

const useStyles = makeStyles({
  wizard: { display: 'grid', gridTemplateColumns: '190px 1fr', gap: '28px', alignItems: 'start' },
  steps: { listStyleType: 'none', margin: 0, padding: 0, display: 'flex', flexDirection: 'column', gap: '2px' },
  step: {
    width: '100%',
    border: 'none',
    textAlign: 'left',
    padding: '8px 10px',
    borderRadius: tokens.borderRadiusMedium,
    backgroundColor: 'transparent',
    color: tokens.colorNeutralForeground2,
    font: 'inherit',
    cursor: 'pointer',
    ':disabled': { color: tokens.colorNeutralForegroundDisabled, cursor: 'default' },
  },
  here: {
    backgroundColor: tokens.colorBrandBackground2,
    color: tokens.colorBrandForeground2,
    fontWeight: tokens.fontWeightSemibold,
  },
  body: { display: 'flex', flexDirection: 'column', gap: '16px', minWidth: 0 },
  bar: { display: 'flex', gap: '8px', marginTop: '8px' },
  wrong: { marginLeft: '8px' },
})

/** Whether a step is done, so that the next ones can be gone to. */
function isDone(step: Step, draft: Draft): boolean {
  if (step === 'Source') return draft.source !== ''
  if (step === 'Tables') {
    return draft.tables.length > 0 && draft.tables.every(t => t.query === undefined || (t.query.trim() !== '' && t.to))
  }
  if (step === 'Destination') return draft.destination !== ''
  if (step === 'Copy mode') {
    return draft.mode !== 'incremental' || draft.tables.every(t => (t.tracking ?? t.incrementalColumn) !== undefined)
  }
  return true
}

export default function WizardPage({ name }: { name?: string }) {
  const job = useQuery({ ...jobQuery(name ?? ''), enabled: name !== undefined })
  if (name === undefined) return <Wizard key="new" start={emptyDraft} />
  if (job.isError) return <Failure error={job.error} />
  if (!job.data) return <Spinner label="Loading the job" />
  const draft = draftOf(job.data.definition)
  if (draft) return <Wizard key={name} start={draft} edited={{ name, version: versionOf(job.data) }} />
  return (
    <Empty title={`${name} is edited as text`} text="It names its stores itself.">
      <Link href={`/jobs/${encodeURIComponent(name)}/definition`}>To its definition</Link>
    </Empty>
  )
}

function Wizard({ start, edited }: { start: Draft; edited?: Edited }) {
  const styles = useStyles()
  // As it was loaded: what is loaded again meanwhile is not what is edited.
  const kept = useKept(edited ? `job ${edited.name}` : 'new job', edited?.version ?? '', start)
  const editing = edited && { name: edited.name, version: kept.base }
  const draft = kept.value
  const [step, setStep] = useState<Step>(editing ? 'Review' : 'Source')
  /** A form of this step with unsaved input: leaving it would lose it. */
  const [isOpen, setIsOpen] = useState(false)
  const body = useRef<HTMLElement>(null)
  const isFirst = useRef(true)
  // Whoever goes to a step begins at its heading.
  useEffect(() => {
    const heading = body.current?.querySelector<HTMLElement>('h2')
    if (heading && !isFirst.current) {
      heading.tabIndex = -1
      heading.focus()
    }
    isFirst.current = false
  }, [step])
  const set = (part: Partial<Draft>) => kept.set(before => ({ ...before, ...part }))
  const at = STEPS.indexOf(step)
  const reachable = (i: number) => !isOpen && STEPS.slice(0, i).every(s => isDone(s, draft))
  const faults = useFaults(draft)
  const wrong = new Set(faults.map(f => stepOf(f.path)))
  const props = { draft, set, fault: faultAt(faults) }
  const beginAnew = () => {
    kept.forget()
    setStep(editing ? 'Review' : 'Source')
  }
  return (
    <>
      <PageHead title={editing ? `Edit ${editing.name}` : 'New copy job'} />
      {kept.isFound && (
        <div className={styles.bar}>
          <Text>This is your unsaved draft from before.</Text>
          <Button onClick={beginAnew}>Begin anew</Button>
        </div>
      )}
      <div className={styles.wizard}>
        <nav aria-label="Steps">
          <ol className={styles.steps}>
            {STEPS.map((s, i) => (
              <li key={s}>
                <button
                  type="button"
                  className={mergeClasses(styles.step, s === step && styles.here)}
                  aria-current={s === step ? 'step' : undefined}
                  disabled={!reachable(i)}
                  onClick={() => setStep(s)}
                >
                  {i + 1}. {s}
                  {wrong.has(s) && (
                    <Badge className={styles.wrong} size="small" color="danger">
                      something is wrong
                    </Badge>
                  )}
                </button>
              </li>
            ))}
          </ol>
        </nav>
        <section ref={body} className={styles.body} aria-label={step}>
          {step === 'Source' && <StoreStep key="source" side="source" {...props} />}
          {step === 'Tables' && <TablesStep {...props} />}
          {step === 'Destination' && <StoreStep key="destination" side="destination" {...props} />}
          {step === 'Mapping' && <MappingStep {...props} />}
          {step === 'Copy mode' && <ModeStep {...props} />}
          {step === 'Schedule' && <ScheduleStep {...props} onOpen={setIsOpen} />}
          {step === 'Review' && (
            <ReviewStep
              {...props}
              wrong={STEPS.filter(s => wrong.has(s) && s !== 'Review')}
              goTo={setStep}
              onSaved={() => kept.forget()}
              editing={editing}
            />
          )}
          {step === 'Copy mode' && !isDone(step, draft) && (
            <Text>Each table needs a column that grows, or the log of its store.</Text>
          )}
          {isOpen && <Text>Keep the schedule, or cancel it, before you go on.</Text>}
          <div className={styles.bar}>
            {at > 0 && (
              <Button disabled={isOpen} onClick={() => setStep(STEPS[at - 1]!)}>
                Back
              </Button>
            )}
            {at < STEPS.length - 1 && (
              <Button
                appearance="primary"
                disabled={isOpen || !isDone(step, draft)}
                onClick={() => setStep(STEPS[at + 1]!)}
              >
                Next
              </Button>
            )}
          </div>
        </section>
      </div>
    </>
  )
}
