/** The button that runs a pipeline, with a question for its parameters. */
import {
  Button,
  Dialog,
  DialogTrigger,
  Field,
  Input,
  makeStyles,
  Spinner,
  Text,
  Textarea,
} from '@fluentui/react-components'
import { PlayRegular } from '@fluentui/react-icons'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useLocation } from 'wouter'
import { Failure } from '../parts/failure.tsx'
import { Question } from '../parts/question.tsx'
import { useAct } from '../parts/tell.tsx'
import { actOn, type PipelineView, pipelineQuery } from './api.ts'

const useStyles = makeStyles({
  form: { display: 'flex', flexDirection: 'column', gap: '12px', minWidth: 'min(460px, 80vw)' },
})

export function RunPipeline({ factory, pipeline, small }: { factory: string; pipeline: string; small?: boolean }) {
  const [isOpen, setOpen] = useState(false)
  return (
    <Dialog open={isOpen} onOpenChange={(_, data) => setOpen(data.open)}>
      <DialogTrigger disableButtonEnhancement>
        <Button
          icon={<PlayRegular />}
          aria-label={`Run ${pipeline}`}
          {...(small ? { size: 'small', appearance: 'subtle' } : { appearance: 'primary' })}
        >
          {small ? undefined : 'Run'}
        </Button>
      </DialogTrigger>
      <Asked factory={factory} pipeline={pipeline} isOpen={isOpen} />
    </Dialog>
  )
}

type Parameter = PipelineView['parameters'][number]

const isStructured = (p: Parameter) => /^(array|object)$/i.test(p.type)
const shownDefault = ({ defaultValue }: Parameter) =>
  typeof defaultValue === 'string' ? defaultValue : JSON.stringify(defaultValue)

function Asked({ factory, pipeline, isOpen }: { factory: string; pipeline: string; isOpen: boolean }) {
  const styles = useStyles()
  const [, go] = useLocation()
  const [given, setGiven] = useState<Record<string, string>>({})
  const found = useQuery({ ...pipelineQuery(factory, pipeline), enabled: isOpen })
  const run = useAct(
    // What is left empty has its default.
    () => actOn.run(factory, pipeline, Object.fromEntries(Object.entries(given).filter(([, text]) => text !== ''))),
    ({ runId }) => {
      go(`/pipelineruns/${runId}`)
      return undefined
    },
    { isTold: true },
  )
  const parameters = found.data?.parameters ?? []
  return (
    <Question
      title={`Run ${pipeline}`}
      close="Close"
      actions={
        <Button appearance="primary" disabled={!found.data || run.isPending} onClick={() => run.mutate(undefined)}>
          Run
        </Button>
      }
    >
      <div className={styles.form}>
        {found.isError && <Failure error={found.error} />}
        {found.isPending && <Spinner label="Reading the pipeline" />}
        {run.isError && <Failure error={run.error} />}
        {found.data && parameters.length === 0 && <Text>It has no parameters.</Text>}
        {parameters.map(p => {
          const text = {
            value: given[p.name] ?? '',
            placeholder: p.defaultValue === undefined ? '' : shownDefault(p),
            onChange: (_: unknown, { value }: { value: string }) =>
              setGiven(before => ({ ...before, [p.name]: value })),
          }
          return (
            <Field key={p.name} label={p.name} hint={p.type} required={p.defaultValue === undefined}>
              {isStructured(p) ? (
                <Textarea {...text} />
              ) : (
                <Input {...text} type={/^secure/i.test(p.type) ? 'password' : 'text'} autoComplete="off" />
              )}
            </Field>
          )
        })}
      </div>
    </Question>
  )
}
