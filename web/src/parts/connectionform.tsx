/** The settings of a connection, tested before they are kept. */
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
import { PlugConnectedRegular } from '@fluentui/react-icons'
import { useMutation, useQuery } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import { act, type ConnectionView, type ConnectorView, connectorsQuery } from '../api.ts'
import { Failure } from './failure.tsx'
import { useAct } from './tell.tsx'

const useStyles = makeStyles({
  form: { display: 'flex', flexDirection: 'column', gap: '12px', maxWidth: '560px' },
  bar: { display: 'flex', gap: '8px', alignItems: 'center' },
  more: { display: 'flex', flexDirection: 'column', gap: '12px' },
})

const NAMES: Record<string, string> = {
  postgres: 'PostgreSQL',
  mysql: 'MySQL, MariaDB',
  sqlite: 'SQLite',
  duckdb: 'DuckDB',
  cosmos: 'Azure Cosmos DB for NoSQL',
  files: 'Files',
}

/** What most connections need; the other settings are further down. */
const FIRST = ['host', 'port', 'database', 'user', 'password', 'path', 'folder', 'endpoint', 'key']

type Setting = ConnectorView['settings'][number]

interface Props {
  connection?: ConnectionView
  onSaved: (connection: ConnectionView) => void
  onCancel?: () => void
}

export function ConnectionForm({ connection, onSaved, onCancel }: Props) {
  const styles = useStyles()
  const connectors = useQuery(connectorsQuery)
  const [name, setName] = useState(connection?.name ?? '')
  const [kind, setKind] = useState(connection?.kind ?? 'postgres')
  const [values, setValues] = useState<Record<string, string>>(() =>
    Object.fromEntries(Object.entries(connection?.settings ?? {}).map(([k, v]) => [k, String(v)])),
  )
  const settings = () => Object.fromEntries(Object.entries(values).filter(([, v]) => v !== ''))
  const test = useMutation({ mutationFn: () => act.testSettings(connection?.name, kind, settings()) })
  const save = useAct(
    () => act.saveConnection(name.trim(), kind, settings(), connection === undefined),
    saved => {
      onSaved(saved)
      return `${saved.name} is kept`
    },
  )
  const connector = connectors.data?.find(c => c.kind === kind)
  const form = useRef<HTMLFormElement>(null)
  const isReady = connector !== undefined
  // A dialog that opened before there was a field takes what is focused in it for something outside, and focuses elsewhere.
  useEffect(() => {
    if (isReady) form.current?.querySelector<HTMLElement>('input:enabled, select:enabled')?.focus()
  }, [isReady])
  if (!connector) return connectors.isError ? <Failure error={connectors.error} /> : <Spinner label="Loading" />
  const rank = (s: Setting) => FIRST.indexOf(s.name)
  const first = connector.settings.filter(s => rank(s) >= 0).sort((a, b) => rank(a) - rank(b))
  const more = connector.settings.filter(s => rank(s) < 0)
  const field = (setting: Setting) => (
    <SettingField
      key={setting.name}
      setting={setting}
      value={values[setting.name] ?? ''}
      onChange={value => {
        test.reset()
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
          }}
        >
          {connectors.data!.map(c => (
            <option key={c.kind} value={c.kind}>
              {NAMES[c.kind] ?? c.kind}
            </option>
          ))}
        </Select>
      </Field>
      {first.map(field)}
      {more.length > 0 && (
        <Accordion collapsible>
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
      {test.isError && <Failure error={test.error} />}
      {save.isError && <Failure error={save.error} />}
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

function SettingField(props: { setting: Setting; value: string; onChange: (value: string) => void }) {
  const { setting, value, onChange } = props
  const hint = setting.secret
    ? 'Kept encrypted, and never shown again. ${NAME} takes it from the environment of the server.'
    : setting.description.replaceAll('`', '')
  const placeholder = setting.default ?? undefined
  const choices = setting.type === 'boolean' ? ['true', 'false'] : setting.choices
  return (
    <Field label={setting.name} hint={hint} required={setting.required}>
      {choices.length > 0 ? (
        <Select value={value} onChange={(_, data) => onChange(data.value)}>
          <option value="">{placeholder ? `${placeholder} (as usual)` : ''}</option>
          {choices.map(c => (
            <option key={c}>{c}</option>
          ))}
        </Select>
      ) : (
        <Input
          type={setting.secret ? 'password' : setting.type === 'number' ? 'number' : 'text'}
          autoComplete="off"
          {...(placeholder ? { placeholder } : {})}
          value={value}
          onChange={(_, data) => onChange(data.value)}
        />
      )}
    </Field>
  )
}
