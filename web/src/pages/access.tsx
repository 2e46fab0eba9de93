/** Who may call, and who did what. */
import {
  Button,
  Field,
  Input,
  MessageBar,
  MessageBarBody,
  makeStyles,
  Select,
  Spinner,
  Title3,
} from '@fluentui/react-components'
import { DeleteRegular } from '@fluentui/react-icons'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { act, auditQuery, type Role, tokensQuery } from '../api.ts'
import { time } from '../format.ts'
import { Confirm } from '../parts/confirm.tsx'
import { CopyButton } from '../parts/copybutton.tsx'
import { Empty } from '../parts/empty.tsx'
import { Failure } from '../parts/failure.tsx'
import { Grid } from '../parts/grid.tsx'
import { PageHead } from '../parts/page.tsx'
import { useAct } from '../parts/tell.tsx'

const useStyles = makeStyles({
  form: { display: 'flex', gap: '12px', alignItems: 'end', flexWrap: 'wrap', margin: '12px 0' },
})

export default function AccessPage() {
  const styles = useStyles()
  const tokens = useQuery(tokensQuery)
  const audit = useQuery(auditQuery)
  const [name, setName] = useState('')
  const [role, setRole] = useState<Role>('viewer')
  const make = useAct(() => act.makeToken(name.trim(), role))
  const remove = useAct(
    (id: string) => act.removeToken(id),
    () => 'The token is void',
  )
  return (
    <>
      <PageHead title="Access" />
      <Title3 as="h2">Tokens</Title3>
      <form
        className={styles.form}
        onSubmit={event => {
          event.preventDefault()
          make.mutate(undefined)
        }}
      >
        <Field label="Name">
          <Input value={name} onChange={(_, { value }) => setName(value)} />
        </Field>
        <Field label="Role" hint="Viewers look, operators run, admins edit.">
          <Select value={role} onChange={(_, { value }) => setRole(value as Role)}>
            <option>viewer</option>
            <option>operator</option>
            <option>admin</option>
          </Select>
        </Field>
        <Button type="submit" appearance="primary" disabled={name.trim() === ''} disabledFocusable={make.isPending}>
          Make a token
        </Button>
      </form>
      {make.data && (
        <MessageBar intent="success" layout="multiline">
          <MessageBarBody>
            It is shown only now: <code>{make.data.token}</code>
            <CopyButton text={make.data.token} what="the token" />
          </MessageBarBody>
        </MessageBar>
      )}
      {tokens.isError && <Failure error={tokens.error} />}
      {tokens.data && (
        <Grid
          label="Tokens"
          rows={tokens.data}
          keyOf={t => t.id}
          maxHeight="30vh"
          columns={[
            { name: 'Name', cell: t => t.name },
            { name: 'Role', cell: t => t.role },
            { name: 'Made', cell: t => time(t.createdAt) },
            { name: 'Last used', cell: t => time(t.lastUsedAt) || 'never' },
            {
              name: 'Remove',
              cell: t => (
                <Confirm
                  title={`Remove the token ${t.name}?`}
                  text="Who uses it is signed out."
                  action="Remove"
                  onConfirm={() => remove.mutate(t.id)}
                >
                  <Button size="small" appearance="subtle" icon={<DeleteRegular />} aria-label={`Remove ${t.name}`} />
                </Confirm>
              ),
            },
          ]}
        />
      )}
      <Title3 as="h2" style={{ display: 'block', margin: '24px 0 12px' }}>
        Audit
      </Title3>
      {audit.isPending && <Spinner label="Loading the audit" />}
      {audit.isError && <Failure error={audit.error} />}
      {audit.data?.length === 0 && <Empty title="Nothing yet" />}
      {audit.data && audit.data.length > 0 && (
        <Grid
          label="Audit"
          rows={audit.data}
          keyOf={e => e.id}
          columns={[
            { name: 'When', cell: e => time(e.at) },
            { name: 'Who', cell: e => e.who },
            { name: 'Role', cell: e => e.role },
            { name: 'From', cell: e => e.address },
            { name: 'What', cell: e => e.action.replace('/api/v1', '') },
            { name: 'Of', cell: e => e.object },
            { name: 'Answer', cell: e => e.outcome },
          ]}
        />
      )}
    </>
  )
}
