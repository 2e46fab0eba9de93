/** Choosing a connection, or making one. */
import {
  Button,
  Field,
  MessageBar,
  MessageBarBody,
  makeStyles,
  Radio,
  RadioGroup,
  Spinner,
  Text,
  Title3,
} from '@fluentui/react-components'
import { AddRegular, PlugConnectedRegular } from '@fluentui/react-icons'
import { useMutation, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { act, type ConnectorView, connectionsQuery, connectorsQuery, type Looked } from '../api.ts'
import { ConnectionForm } from '../parts/connectionform.tsx'
import { Failure } from '../parts/failure.tsx'
import { type Draft, lookedAt, type TableDraft } from './draft.ts'
import type { StepProps } from './step.ts'

/** The kind of a connection's store, with what it can do. */
export function useConnector(connection: string): ConnectorView | undefined {
  const connections = useQuery(connectionsQuery)
  const connectors = useQuery(connectorsQuery)
  const kind = connections.data?.find(c => c.name === connection)?.kind
  return connectors.data?.find(c => c.kind === kind)
}

/** What is looked at in the source for a table. */
export function useLookedAt(draft: Draft, table: TableDraft): Looked | undefined {
  return lookedAt(draft, table, useConnector(draft.source)?.arrivals === true)
}

const useStyles = makeStyles({ bar: { display: 'flex', gap: '8px', alignItems: 'center' } })

export function StoreStep({ side, draft, set }: StepProps & { side: 'source' | 'destination' }) {
  const styles = useStyles()
  const connections = useQuery(connectionsQuery)
  const connectors = useQuery(connectorsQuery)
  const [making, setMaking] = useState(false)
  const chosen = draft[side]
  const test = useMutation({ mutationFn: (name: string) => act.testConnection(name) })
  const choose = (name: string) => {
    test.reset()
    if (name === chosen) return
    // Tables are of their source.
    if (side === 'source') return set({ source: name, tables: [] })
    const kind = connections.data?.find(c => c.name === name)?.kind
    const known = connectors.data?.find(c => c.kind === kind)?.update ?? []
    set({
      destination: name,
      ...(known.includes(draft.update) ? {} : { update: known.includes('merge') ? 'merge' : 'append' }),
    })
  }
  if (connections.isError) return <Failure error={connections.error} />
  if (!connections.data) return <Spinner label="Loading connections" />
  // A web server, for example, can be read and no more.
  const isWritable = (kind: string) => connectors.data?.find(c => c.kind === kind)?.update.length !== 0
  const choices = connections.data.filter(c => side === 'source' || isWritable(c.kind))
  const title = side === 'source' ? 'Where do rows come from?' : 'Where do rows go to?'
  if (making || connections.data.length === 0) {
    return (
      <>
        <Title3 as="h2">{title}</Title3>
        {connections.data.length === 0 && <Text>There are no connections yet: create the first one.</Text>}
        <ConnectionForm
          onSaved={saved => {
            setMaking(false)
            choose(saved.name)
          }}
          {...(connections.data.length > 0 ? { onCancel: () => setMaking(false) } : {})}
        />
      </>
    )
  }
  return (
    <>
      <Title3 as="h2">{title}</Title3>
      <Field label="Connection">
        <RadioGroup value={chosen} onChange={(_, { value }) => choose(value)}>
          {choices.map(c => (
            <Radio key={c.name} value={c.name} label={`${c.name} (${c.kind}, ${c.label})`} />
          ))}
        </RadioGroup>
      </Field>
      {test.isSuccess && (
        <MessageBar intent="success">
          <MessageBarBody>It answers: {test.data.answer}</MessageBarBody>
        </MessageBar>
      )}
      {test.isError && <Failure error={test.error} />}
      <div className={styles.bar}>
        <Button
          icon={test.isPending ? <Spinner size="tiny" /> : <PlugConnectedRegular />}
          disabled={chosen === ''}
          disabledFocusable={test.isPending}
          onClick={() => test.mutate(chosen)}
        >
          Test connection
        </Button>
        <Button icon={<AddRegular />} onClick={() => setMaking(true)}>
          New connection
        </Button>
      </div>
    </>
  )
}
