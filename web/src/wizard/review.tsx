/** The plan and the job file; then the job is saved, and run. */
import {
  Accordion,
  AccordionHeader,
  AccordionItem,
  AccordionPanel,
  Button,
  Field,
  Input,
  MessageBar,
  MessageBarActions,
  MessageBarBody,
  makeStyles,
  Spinner,
  Title3,
} from '@fluentui/react-components'
import { PlayRegular, SaveRegular } from '@fluentui/react-icons'
import { useQuery } from '@tanstack/react-query'
import { useDeferredValue } from 'react'
import { useLocation } from 'wouter'
import { act, Problem } from '../api.ts'
import { Code } from '../parts/code.tsx'
import { Failure } from '../parts/failure.tsx'
import { Plan } from '../parts/plan.tsx'
import { useAct } from '../parts/tell.tsx'
import { definitionOf } from './draft.ts'
import { draftPlanQuery, JOB_NAME, nameOf, type Step } from './faults.ts'
import type { StepProps } from './step.ts'

const useStyles = makeStyles({
  narrow: { maxWidth: '420px' },
  bar: { display: 'flex', gap: '8px' },
})

/** The job that is edited, and which version of it. */
export interface Edited {
  name: string
  version: string
}

interface ReviewProps extends StepProps {
  editing?: Edited
  /** The steps in which a setting is wrong. */
  wrong: Step[]
  goTo: (step: Step) => void
  onSaved: () => void
}

export function ReviewStep({ draft, set, editing, wrong, goTo, onSaved }: ReviewProps) {
  const styles = useStyles()
  const [, go] = useLocation()
  const name = nameOf(draft)
  const definition = definitionOf({ ...draft, name })
  const asked = useDeferredValue(JSON.stringify(definition))
  const planned = useQuery({ ...draftPlanQuery(asked), enabled: JOB_NAME.test(name) })
  // A fault that is shown beside a field of another step is not repeated here.
  const isBeside = (error: unknown) => error instanceof Problem && error.faults.length > 0 && wrong.length > 0
  const save = useAct(
    async (run: boolean) => {
      await (editing ? act.updateJob(editing.name, definition, editing.version) : act.createJob(definition))
      if (run) await act.runJob(name)
    },
    (_, run) => {
      onSaved()
      go(`/jobs/${encodeURIComponent(name)}`)
      return run ? `${name} runs` : `${name} saved`
    },
    { isTold: true },
  )
  return (
    <>
      <Title3 as="h2">Is it right?</Title3>
      <Field
        label="Name of the job"
        className={styles.narrow}
        {...(JOB_NAME.test(name)
          ? {}
          : { validationMessage: name === '' ? 'A job needs a name' : 'Letters, digits, dot, dash and underscore' })}
      >
        <Input value={name} disabled={editing !== undefined} onChange={(_, { value }) => set({ name: value })} />
      </Field>
      {save.isError && !isBeside(save.error) && <Failure error={save.error} />}
      <div className={styles.bar}>
        <Button
          icon={<SaveRegular />}
          disabled={!JOB_NAME.test(name)}
          disabledFocusable={save.isPending}
          onClick={() => save.mutate(false)}
        >
          Save
        </Button>
        <Button
          appearance="primary"
          icon={<PlayRegular />}
          disabled={!JOB_NAME.test(name)}
          disabledFocusable={save.isPending}
          onClick={() => save.mutate(true)}
        >
          Save and run
        </Button>
      </div>
      <Title3 as="h3">Plan</Title3>
      {wrong.length > 0 && (
        <MessageBar intent="error" layout="multiline" role="alert">
          <MessageBarBody>Some settings are not valid: see the messages beside their fields.</MessageBarBody>
          <MessageBarActions>
            {wrong.map(step => (
              <Button key={step} onClick={() => goTo(step)}>
                Go to {step}
              </Button>
            ))}
          </MessageBarActions>
        </MessageBar>
      )}
      {planned.isError && !isBeside(planned.error) && <Failure error={planned.error} />}
      {planned.isFetching && (
        <Spinner size="tiny" label="Asking both stores" labelPosition="after" style={{ justifyContent: 'start' }} />
      )}
      {planned.data && <Plan plan={planned.data.plan} />}
      {planned.data && (
        <Accordion collapsible>
          <AccordionItem value="yaml">
            <AccordionHeader>Job file (YAML)</AccordionHeader>
            <AccordionPanel>
              <Code label="Job file" text={planned.data.yaml} />
            </AccordionPanel>
          </AccordionItem>
        </Accordion>
      )}
    </>
  )
}
