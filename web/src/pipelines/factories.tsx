/** The factories that are kept, and adding one. */
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
import { AddRegular } from '@fluentui/react-icons'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Link, useLocation } from 'wouter'
import { time } from '../format.ts'
import { Empty } from '../parts/empty.tsx'
import { Failure } from '../parts/failure.tsx'
import { Grid } from '../parts/grid.tsx'
import { PageHead } from '../parts/page.tsx'
import { Question } from '../parts/question.tsx'
import { useMay } from '../parts/session.ts'
import { useAct } from '../parts/tell.tsx'
import { actOn, factoriesQuery, type KeptFactory } from './api.ts'
import { link, PipelineRunList, pathOf } from './runlist.tsx'

const useStyles = makeStyles({
  form: { display: 'flex', flexDirection: 'column', gap: '12px', minWidth: 'min(560px, 80vw)' },
  part: { marginTop: '24px', display: 'flex', flexDirection: 'column', gap: '10px' },
})

export default function FactoriesPage() {
  const styles = useStyles()
  const factories = useQuery(factoriesQuery)
  const mayEdit = useMay('admin')
  const add = mayEdit && <AddFactory />
  const none = factories.data?.length === 0
  return (
    <>
      <PageHead title="Factories">{!none && add}</PageHead>
      {factories.isError && <Failure error={factories.error} />}
      {factories.isPending && <Spinner label="Loading factories" />}
      {none && (
        <Empty
          title="No factories yet"
          text="The pipelines of an Azure Data Factory run here as they are: from its folder in git, or from an exported template."
        >
          {add}
        </Empty>
      )}
      {factories.data && !none && (
        <>
          <Grid
            label="Factories"
            rows={factories.data}
            keyOf={f => f.name}
            maxHeight="40vh"
            columns={[
              {
                name: 'Factory',
                cell: (f: KeptFactory) => (
                  <Link href={pathOf(f.name)} style={link}>
                    {f.name}
                  </Link>
                ),
              },
              { name: 'Where', cell: f => f.source.factory },
              { name: 'Redirects', cell: f => f.source.redirect ?? '' },
              { name: 'Added', cell: f => time(f.addedAt) },
            ]}
          />
          <section className={styles.part} aria-label="Newest runs">
            <Text weight="semibold">Newest runs of pipelines</Text>
            <PipelineRunList filter={{}} maxHeight="45vh" />
          </section>
        </>
      )}
    </>
  )
}

const lines = (text: string) =>
  text
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '')

function AddFactory() {
  const styles = useStyles()
  const [, go] = useLocation()
  const [isOpen, setOpen] = useState(false)
  const [words, setWords] = useState({ factory: '', redirect: '', parameters: '', runtimes: '', name: '' })
  const add = useAct(
    () =>
      actOn.addFactory({
        factory: words.factory.trim(),
        parameters: lines(words.parameters),
        redirect: words.redirect.trim() || null,
        runtime: lines(words.runtimes).map(name => `${name}=local`),
        ...(words.name.trim() ? { name: words.name.trim() } : {}),
      }),
    ({ name }) => {
      setOpen(false)
      go(pathOf(name))
      return `${name} is added`
    },
    { isTold: true },
  )
  const change =
    (name: keyof typeof words) =>
    (_: unknown, { value }: { value: string }) =>
      setWords(before => ({ ...before, [name]: value }))
  return (
    <Dialog open={isOpen} onOpenChange={(_, data) => setOpen(data.open)}>
      <DialogTrigger disableButtonEnhancement>
        <Button appearance="primary" icon={<AddRegular />}>
          Add a factory
        </Button>
      </DialogTrigger>
      <Question
        title="Add a factory"
        close="Close"
        actions={
          <Button
            appearance="primary"
            disabled={words.factory.trim() === '' || add.isPending}
            onClick={() => add.mutate(undefined)}
          >
            Add
          </Button>
        }
      >
        <div className={styles.form}>
          {add.isError && <Failure error={add.error} />}
          <Field
            label="Folder or template"
            required
            hint="On the server: the folder that Data Factory keeps in git, with `pipeline` in it, or an exported template.json."
          >
            <Input value={words.factory} onChange={change('factory')} />
          </Field>
          <Field label="File of redirects" hint="Where linked services lead instead.">
            <Input value={words.redirect} onChange={change('redirect')} />
          </Field>
          <Field label="Files of parameters" hint="Of a template; one a line.">
            <Textarea value={words.parameters} onChange={change('parameters')} />
          </Field>
          <Field label="Integration runtimes whose work is done here" hint="By their names, one a line.">
            <Textarea value={words.runtimes} onChange={change('runtimes')} />
          </Field>
          <Field label="Name" hint="What it is called here; else as it calls itself.">
            <Input value={words.name} onChange={change('name')} />
          </Field>
        </div>
      </Question>
    </Dialog>
  )
}
