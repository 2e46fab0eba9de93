/** The settings of a connection, tested before they are saved. */
import {
  Accordion,
  AccordionHeader,
  AccordionItem,
  AccordionPanel,
  Button,
  Field,
  Input,
  MessageBar,
  MessageBarBody,
  makeStyles,
  Select,
  Spinner,
} from '@fluentui/react-components'
import { PlugConnectedRegular, TextBulletListRegular } from '@fluentui/react-icons'
import { useMutation, useQuery } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import { act, type ConnectionView, connectorsQuery, type FieldView } from '../api.ts'
import { Failure } from './failure.tsx'
import { faultsOf } from './faults.ts'
import { SettingField } from './field.tsx'
import { useAct } from './tell.tsx'

const useStyles = makeStyles({
  form: { display: 'flex', flexDirection: 'column', gap: '12px', maxWidth: '560px' },
  bar: { display: 'flex', gap: '8px', alignItems: 'center' },
  more: { display: 'flex', flexDirection: 'column', gap: '12px' },
})

/** What most connections need; the other settings are further down. */
const FIRST = [
  'host',
  'port',
  'database',
  'user',
  'password',
  'path',
  'bucket',
  'container',
  'folder',
  'endpoint',
  'key',
]

interface Props {
  connection?: ConnectionView
  onSaved: (connection: ConnectionView) => void
  onCancel?: () => void
}

export function ConnectionForm({ connection, onSaved, onCancel }: Props) {
  const styles = useStyles()
  const connectors = useQuery(connectorsQuery)
  const [name, setName] = useState(connection?.name ?? '')
  const [chosen, setKind] = useState(connection?.kind)
  const kind = chosen ?? connectors.data?.[0]?.kind ?? ''
  const [values, setValues] = useState<Record<string, string>>(() =>
    Object.fromEntries(Object.entries(connection?.settings ?? {}).map(([k, v]) => [k, String(v)])),
  )
  const settings = () => Object.fromEntries(Object.entries(values).filter(([, v]) => v !== ''))
  const test = useMutation({ mutationFn: () => act.testSettings(connection?.name, kind, settings()) })
  const listed = useMutation({ mutationFn: () => act.listed(connection?.name, kind, settings()) })
  const save = useAct(
    () => act.saveConnection(name.trim(), kind, settings(), connection),
    saved => {
      onSaved(saved)
      return `${saved.name} saved`
    },
    { isTold: true },
  )
  const connector = connectors.data?.find(c => c.kind === kind)
  const { at, isBeside } = faultsOf(
    test.error ?? save.error ?? listed.error,
    path => connector?.settings.some(s => s.name === path) ?? false,
  )
  const form = useRef<HTMLFormElement>(null)
  const isReady = connector !== undefined
  // A dialog that opened before there was a field takes what is focused in it for something outside, and focuses elsewhere.
  useEffect(() => {
    if (isReady) form.current?.querySelector<HTMLElement>('input:enabled, select:enabled')?.focus()
  }, [isReady])
  if (!connector) return connectors.isError ? <Failure error={connectors.error} /> : <Spinner label="Loading" />
  const rank = (s: FieldView) => FIRST.indexOf(s.name)
  const first = connector.settings.filter(s => rank(s) >= 0).sort((a, b) => rank(a) - rank(b))
  const more = connector.settings.filter(s => rank(s) < 0)
  const field = (setting: FieldView) => (
    <SettingField
      key={setting.name}
      setting={setting}
      value={values[setting.name] ?? ''}
      fault={at(setting.name)}
      names={setting.listed ? listed.data?.names : undefined}
      beside={
        setting.listed ? (
          <Button
            appearance="subtle"
            size="small"
            icon={listed.isPending ? <Spinner size="tiny" /> : <TextBulletListRegular />}
            disabledFocusable={listed.isPending}
            onClick={() => listed.mutate()}
          >
            {listed.isSuccess ? `${listed.data.names.length} found` : 'List'}
          </Button>
        ) : undefined
      }
      onChange={value => {
        test.reset()
        save.reset()
        setValues({ ...values, [setting.name]: value })
      }}
    />
  )
  return (
    <form
      ref={form}
      className={styles.form}
      onSubmit={event => {
        event.preventDefault()
        save.mutate(undefined)
      }}
    >
      <Field label="Name of the connection" required hint="Letters, digits, dot, dash and underscore">
        <Input value={name} disabled={connection !== undefined} onChange={(_, { value }) => setName(value)} />
      </Field>
      <Field label="Kind of store">
        <Select
          value={kind}
          disabled={connection !== undefined}
          onChange={(_, { value }) => {
            setKind(value)
            setValues({})
            test.reset()
            listed.reset()
          }}
        >
          {connectors.data!.map(c => (
            <option key={c.kind} value={c.kind}>
              {c.label}
            </option>
          ))}
        </Select>
      </Field>
      {first.map(field)}
      {more.length > 0 && (
        <Accordion collapsible {...(more.some(s => at(s.name) !== undefined) ? { openItems: ['more'] } : {})}>
          <AccordionItem value="more">
            <AccordionHeader>More settings</AccordionHeader>
            <AccordionPanel className={styles.more}>{more.map(field)}</AccordionPanel>
          </AccordionItem>
        </Accordion>
      )}
      {test.isSuccess && (
        <MessageBar intent="success">
          <MessageBarBody>It answers: {test.data.answer}</MessageBarBody>
        </MessageBar>
      )}
      {!isBeside && test.isError && <Failure error={test.error} />}
      {!isBeside && listed.isError && <Failure error={listed.error} />}
      {!isBeside && save.isError && <Failure error={save.error} />}
      <div className={styles.bar}>
        <Button
          icon={test.isPending ? <Spinner size="tiny" /> : <PlugConnectedRegular />}
          disabledFocusable={test.isPending}
          onClick={() => test.mutate()}
        >
          Test connection
        </Button>
        <Button type="submit" appearance="primary" disabled={name.trim() === ''} disabledFocusable={save.isPending}>
          Save connection
        </Button>
        {onCancel && <Button onClick={onCancel}>Back</Button>}
      </div>
    </form>
  )
}
