/** The triggers of a job: files that arrive, a call with a secret, another job. */
import {
  Button,
  Field,
  Input,
  MessageBar,
  MessageBarBody,
  makeStyles,
  Select,
  Spinner,
  Switch,
  Text,
  Title3,
} from '@fluentui/react-components'
import { AddRegular, DeleteRegular, EditRegular, KeyResetRegular } from '@fluentui/react-icons'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { act, connectionsQuery, connectorsQuery, jobsQuery, triggersQuery } from '../api.ts'
import { time } from '../format.ts'
import { Confirm } from './confirm.tsx'
import { CopyButton } from './copybutton.tsx'
import { Failure } from './failure.tsx'
import { type FaultAt, faultsOf, shown, within } from './faults.ts'
import { Grid } from './grid.tsx'
import { useMay } from './session.ts'
import { useAct } from './tell.tsx'

const useStyles = makeStyles({
  part: { display: 'flex', flexDirection: 'column', gap: '12px' },
  form: { display: 'flex', flexDirection: 'column', gap: '12px', maxWidth: '560px' },
  bar: { display: 'flex', gap: '8px' },
})

/** What of a trigger has a field of its own. */
const FIELDS = ['name', 'files', 'connection', 'events', 'after']

type Trigger = Record<string, unknown> & { name: string }

function wordsFor(t: Record<string, unknown>): string {
  if (t.files) return `files arrive: ${t.files}${t.connection ? ` in ${t.connection}` : ''}`
  if (t.events) return `a store tells of objects: ${t.events}`
  if (t.after) return `${t.after} has completed`
  return 'it is called'
}

/** How a trigger is called: a command for a terminal; for a store that sends events, the address with the secret in it. */
function callOf({ secret, address }: { secret: string; address: string }, isEvents: boolean): string {
  if (isEvents) return `${location.origin}${address}?secret=${secret}`
  return `curl -X POST -H 'Authorization: Bearer ${secret}' ${location.origin}${address}`
}

export function Triggers({ name }: { name: string }) {
  const styles = useStyles()
  const triggers = useQuery(triggersQuery(name))
  const mayEdit = useMay('admin')
  const [making, setMaking] = useState(false)
  const [editing, setEditing] = useState<number>()
  const save = useAct(
    (all: Trigger[]) => act.saveTriggers(name, all),
    () => {
      setMaking(false)
      setEditing(undefined)
      return 'Triggers saved'
    },
    { isTold: true },
  )
  // The trigger that is edited, or the new one behind the others.
  const at = editing ?? triggers.data?.length ?? 0
  const isForm = making || editing !== undefined
  const { at: fault, isBeside } = faultsOf(save.error, path => isForm && FIELDS.some(f => path === `${at}.${f}`))
  const secret = useAct((trigger: string) => act.hookSecret(name, trigger))
  if (triggers.isError) return <Failure error={triggers.error} />
  if (!triggers.data) return <Spinner label="Loading triggers" />
  const all = triggers.data.map(t => t.trigger as Trigger)
  const isEvents = all.find(t => t.name === secret.variables)?.events !== undefined
  // While it is being saved, the list that is shown is the former one: an edit of that would be lost.
  const keep = (triggers: Trigger[]) => save.isPending || save.mutate(triggers)
  return (
    <section className={styles.part} aria-label="Triggers">
      <Title3 as="h2">Triggers</Title3>
      {all.length === 0 && !making && (
        <Text>No triggers yet. A trigger runs the job when files arrive, when it is called, or after another job.</Text>
      )}
      {secret.data && (
        <MessageBar intent="success" layout="multiline">
          <MessageBarBody>
            {isEvents ? 'Told only now. Let the store send its events to: ' : 'Told only now. Call it: '}
            <code>{callOf(secret.data, isEvents)}</code>
            <CopyButton text={callOf(secret.data, isEvents)} what="the call" />
          </MessageBarBody>
        </MessageBar>
      )}
      {all.length > 0 && (
        <Grid
          label="Triggers"
          rows={triggers.data}
          keyOf={t => String(t.trigger.name)}
          columns={[
            { name: 'Name', cell: t => String(t.trigger.name) },
            { name: 'Runs when', cell: t => wordsFor(t.trigger) },
            {
              name: 'On',
              cell: (t, i) => (
                <Switch
                  aria-label={`${t.trigger.name} is on`}
                  disabled={!mayEdit}
                  checked={t.trigger.enabled !== false}
                  onChange={(_, { checked }) =>
                    keep(all.map((other, n) => (n === i ? { ...other, enabled: checked } : other)))
                  }
                />
              ),
            },
            {
              name: 'Last',
              cell: t => t.outcome && <span title={t.outcome}>{`${time(t.outcomeAt)}: ${t.outcome}`}</span>,
            },
            {
              name: 'Actions',
              cell: (t, i) =>
                mayEdit && (
                  <>
                    {(t.trigger.webhook === true || t.trigger.events !== undefined) && (
                      <Confirm
                        title={t.hasSecret ? 'Make another secret?' : 'Make the secret?'}
                        text={t.hasSecret ? 'The previous secret no longer works.' : 'It is shown only once.'}
                        action="Make it"
                        onConfirm={() => secret.mutate(String(t.trigger.name))}
                      >
                        <Button
                          size="small"
                          appearance="subtle"
                          icon={<KeyResetRegular />}
                          aria-label={`Secret of ${t.trigger.name}`}
                        />
                      </Confirm>
                    )}
                    <Button
                      size="small"
                      appearance="subtle"
                      icon={<EditRegular />}
                      aria-label={`Edit ${t.trigger.name}`}
                      disabledFocusable={save.isPending}
                      onClick={() => setEditing(i)}
                    />
                    <Button
                      size="small"
                      appearance="subtle"
                      icon={<DeleteRegular />}
                      aria-label={`Remove ${t.trigger.name}`}
                      disabledFocusable={save.isPending}
                      onClick={() => keep(all.filter((_, n) => n !== i))}
                    />
                  </>
                ),
            },
          ]}
        />
      )}
      {save.isError && !isBeside && <Failure error={save.error} />}
      {editing !== undefined && all[editing] && (
        <TriggerForm
          key={editing}
          job={name}
          edited={all[editing]}
          fault={within(fault, String(editing))}
          isBusy={save.isPending}
          onDone={trigger => keep(all.map((other, n) => (n === editing ? trigger : other)))}
          onCancel={() => setEditing(undefined)}
        />
      )}
      {making ? (
        <TriggerForm
          job={name}
          fault={within(fault, String(all.length))}
          isBusy={save.isPending}
          onDone={trigger => keep([...all, trigger])}
          onCancel={() => setMaking(false)}
        />
      ) : (
        mayEdit &&
        editing === undefined && (
          <div>
            <Button icon={<AddRegular />} onClick={() => setMaking(true)}>
              New trigger
            </Button>
          </div>
        )
      )}
    </section>
  )
}

interface Props {
  job: string
  edited?: Trigger
  fault: FaultAt
  /** True while it is being saved. */
  isBusy: boolean
  onDone: (trigger: Trigger) => void
  onCancel: () => void
}

function TriggerForm({ job, edited, fault, isBusy, onDone, onCancel }: Props) {
  const styles = useStyles()
  const {
    name: named = '',
    files: pattern,
    webhook,
    events: told,
    after: former,
    connection: place,
    ...rest
  } = (edited ?? {}) as Partial<Trigger>
  const [name, setName] = useState(named)
  const [kind, setKind] = useState(webhook ? 'webhook' : told ? 'events' : former ? 'after' : 'files')
  const [files, setFiles] = useState(String(pattern ?? '*.csv'))
  const [connection, setConnection] = useState(String(place ?? ''))
  const [events, setEvents] = useState(String(told ?? '**'))
  const [after, setAfter] = useState(String(former ?? ''))
  const connections = useQuery(connectionsQuery)
  const connectors = useQuery(connectorsQuery)
  const jobs = useQuery(jobsQuery(''))
  const trigger = (): Trigger => {
    // How long files stay as they are before it runs is of files alone.
    const { settled: _, ...plain } = rest as Record<string, unknown>
    if (kind === 'webhook') return { ...plain, name, webhook: true }
    if (kind === 'events') return { ...plain, name, events }
    if (kind === 'after') return { ...plain, name, after }
    return { ...rest, name, files, ...(connection ? { connection } : {}) }
  }
  const needed = { files, after, events, webhook: 'a call' }[kind]
  const isWhole = name.trim() !== '' && needed !== ''
  return (
    <div className={styles.form}>
      <Field label="Name of the trigger" {...shown(fault('name'))}>
        <Input value={name} onChange={(_, d) => setName(d.value)} />
      </Field>
      <Field label="Runs when">
        <Select value={kind} onChange={(_, d) => setKind(d.value)}>
          <option value="files">files arrive</option>
          <option value="webhook">it is called, with a secret</option>
          <option value="events">a store tells that objects have arrived</option>
          <option value="after">another job has completed</option>
        </Select>
      </Field>
      {kind === 'files' && (
        <>
          <Field
            label="Files"
            hint="A pattern in the folder of the connection, such as in/*.csv"
            {...shown(fault('files'))}
          >
            <Input value={files} onChange={(_, d) => setFiles(d.value)} />
          </Field>
          <Field label="Connection" {...shown(fault('connection'))}>
            <Select value={connection} onChange={(_, d) => setConnection(d.value)}>
              <option value="">the source of the job</option>
              {connections.data
                ?.filter(c => connectors.data?.find(k => k.kind === c.kind)?.arrivals)
                .map(c => (
                  <option key={c.name}>{c.name}</option>
                ))}
            </Select>
          </Field>
        </>
      )}
      {kind === 'events' && (
        <Field
          label="Objects"
          hint="A pattern of their names, such as in/**/*.csv. Event Grid, S3 and Cloud Storage tell of them."
          {...shown(fault('events'))}
        >
          <Input value={events} onChange={(_, d) => setEvents(d.value)} />
        </Field>
      )}
      {kind === 'after' && (
        <Field label="Job" {...shown(fault('after'))}>
          <Select value={after} onChange={(_, d) => setAfter(d.value)}>
            <option value="" />
            {jobs.data?.jobs
              .filter(j => j.name !== job)
              .map(j => (
                <option key={j.name}>{j.name}</option>
              ))}
          </Select>
        </Field>
      )}
      <div className={styles.bar}>
        <Button appearance="primary" disabled={!isWhole} disabledFocusable={isBusy} onClick={() => onDone(trigger())}>
          Keep trigger
        </Button>
        <Button onClick={onCancel}>Back</Button>
      </div>
    </div>
  )
}
