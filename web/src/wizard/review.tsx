/** The plan and the job file; then it is kept, and run. */
import {
  Accordion,
  AccordionHeader,
  AccordionItem,
  AccordionPanel,
  Button,
  Field,
  Input,
  makeStyles,
  Spinner,
  Title3,
} from '@fluentui/react-components'
import { PlayRegular, SaveRegular } from '@fluentui/react-icons'
import { useQuery } from '@tanstack/react-query'
import { useDeferredValue } from 'react'
import { useLocation } from 'wouter'
import { act } from '../api.ts'
import { Code } from '../parts/code.tsx'
import { Failure } from '../parts/failure.tsx'
import { Plan } from '../parts/plan.tsx'
import { useAct } from '../parts/tell.tsx'
import { definitionOf } from './draft.ts'
import type { StepProps } from './page.tsx'

const useStyles = makeStyles({
  narrow: { maxWidth: '420px' },
  bar: { display: 'flex', gap: '8px' },
})

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/

/** A name for a job that has none yet. */
function suggested(source: string, destination: string): string {
  return `${source}-to-${destination}`.replace(/[^A-Za-z0-9._-]/g, '-').slice(0, 100)
}

/** The job that is edited, and which version of it. */
export interface Edited {
  name: string
  version: string
}

export function ReviewStep({ draft, set, editing, onSaved }: StepProps & { editing?: Edited; onSaved: () => void }) {
  const styles = useStyles()
  const [, go] = useLocation()
  const name = draft.name ?? suggested(draft.source, draft.destination)
  const definition = definitionOf({ ...draft, name })
  const asked = useDeferredValue(JSON.stringify(definition))
  const planned = useQuery({
    queryKey: ['draft', asked],
    queryFn: () => act.planDraft(JSON.parse(asked)),
    enabled: NAME.test(name),
    retry: false,
    staleTime: 30_000,
  })
  const save = useAct(
    async (run: boolean) => {
      await (editing ? act.updateJob(editing.name, definition, editing.version) : act.createJob(definition))
      if (run) await act.runJob(name)
    },
    (_, run) => {
      onSaved()
      go(`/jobs/${encodeURIComponent(name)}`)
      return run ? `${name} runs` : `${name} is kept`
    },
  )
  return (
    <>
      <Title3 as="h2">Is it right?</Title3>
      <Field
        label="Name of the job"
        className={styles.narrow}
        {...(NAME.test(name)
          ? {}
          : { validationMessage: name === '' ? 'A job needs a name' : 'Letters, digits, dot, dash and underscore' })}
      >
        <Input value={name} disabled={editing !== undefined} onChange={(_, { value }) => set({ name: value })} />
      </Field>
      {save.isError && <Failure error={save.error} />}
      <div className={styles.bar}>
        <Button
          icon={<SaveRegular />}
          disabled={!NAME.test(name)}
          disabledFocusable={save.isPending}
          onClick={() => save.mutate(false)}
        >
          Save
        </Button>
        <Button
          appearance="primary"
          icon={<PlayRegular />}
          disabled={!NAME.test(name)}
          disabledFocusable={save.isPending}
          onClick={() => save.mutate(true)}
        >
          Save and run
        </Button>
      </div>
      <Title3 as="h3">Plan</Title3>
      {planned.isError && <Failure error={planned.error} />}
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
