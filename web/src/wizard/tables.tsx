/** Choosing tables and their columns, with a look at their rows. */
import {
  Button,
  Checkbox,
  Field,
  Input,
  makeStyles,
  Spinner,
  Text,
  Textarea,
  Title3,
  tokens,
} from '@fluentui/react-components'
import { AddRegular, DeleteRegular, EyeRegular, SearchRegular } from '@fluentui/react-icons'
import { useQuery } from '@tanstack/react-query'
import { useDeferredValue, useState } from 'react'
import { columnsQuery, objectsQuery, previewQuery } from '../api.ts'
import { count, size } from '../format.ts'
import { Empty } from '../parts/empty.tsx'
import { Failure } from '../parts/failure.tsx'
import { shown, within } from '../parts/faults.ts'
import { Options } from '../parts/field.tsx'
import { Grid } from '../parts/grid.tsx'
import { lookedAt, type TableDraft, withQuery, withSetting } from './draft.ts'
import { Folders } from './folders.tsx'
import type { StepProps } from './step.ts'
import { useConnector, useLookedAt } from './store.tsx'

const useStyles = makeStyles({
  bar: { display: 'flex', gap: '12px', alignItems: 'center', flexWrap: 'wrap' },
  columns: { display: 'flex', flexWrap: 'wrap', gap: '0 12px', border: 'none', margin: 0, padding: 0 },
  muted: { color: tokens.colorNeutralForeground2 },
  queries: { display: 'flex', flexDirection: 'column', gap: '12px', alignItems: 'start' },
  query: { display: 'grid', gridTemplateColumns: '240px 1fr auto', gap: '12px', width: '100%', alignItems: 'end' },
  sql: { fontFamily: tokens.fontFamilyMonospace },
})

export function TablesStep(props: StepProps) {
  const connector = useConnector(props.draft.source)
  return connector?.arrivals ? <FilesStep {...props} /> : <ObjectsStep {...props} />
}

/** Files are found by their folders, and by patterns. */
function FilesStep({ draft, set, fault }: StepProps) {
  const [looked, setLooked] = useState<string>()
  const _connector = useConnector(draft.source)
  const named = draft.tables.flatMap(t => t.from ?? [])
  return (
    <>
      <Title3 as="h2">Which files?</Title3>
      <HowRead draft={draft} set={set} fault={fault} />
      <Folders
        connection={draft.source}
        chosen={new Set(named)}
        looked={looked}
        onChoose={(names, isChosen) => set({ tables: withChosen(draft.tables, names, isChosen) })}
        onLook={setLooked}
      />
      {looked !== undefined && <Look key={looked} table={draftOf(draft.tables, looked)} draft={draft} set={set} />}
    </>
  )
}

/** The options of reading, for all tables. */
function HowRead({ draft, set, fault }: StepProps) {
  const connector = useConnector(draft.source)
  return (
    <Options
      title="How they are read"
      fields={connector?.read ?? []}
      value={(draft.rest.read as Record<string, unknown> | undefined) ?? {}}
      onChange={read => set({ rest: withSetting(draft.rest, 'read', read) })}
      fault={within(fault, 'read')}
    />
  )
}

const draftOf = (tables: TableDraft[], name: string): TableDraft =>
  tables.find(t => t.from === name) ?? { key: name, from: name, rest: {} }

/** The tables with these names, or without them. */
function withChosen(tables: TableDraft[], names: string[], isChosen: boolean): TableDraft[] {
  const changed = new Set(names)
  const chosen = new Set(tables.flatMap(t => t.from ?? []))
  const kept = tables.filter(t => isChosen || !changed.has(t.from ?? ''))
  return [...kept, ...(isChosen ? names.filter(n => !chosen.has(n)).map(n => draftOf([], n)) : [])]
}

function ObjectsStep({ draft, set, fault }: StepProps) {
  const styles = useStyles()
  const [text, setText] = useState('')
  const shown = useDeferredValue(text.toLowerCase())
  const [looked, setLooked] = useState<string>()
  const connector = useConnector(draft.source)
  const objects = useQuery({ ...objectsQuery(draft.source, ''), placeholderData: undefined })
  if (objects.isError) return <Failure error={objects.error} />
  if (!objects.data) return <Spinner label={`Asking ${draft.source}`} />
  const named = draft.tables.flatMap(t => t.from ?? [])
  const chosen = new Set(named)
  // Patterns and what is gone are choices too.
  const all = [...new Set([...named, ...objects.data.objects])].sort()
  const found = shown ? all.filter(o => o.toLowerCase().includes(shown)) : all
  const choose = (names: string[], isChosen: boolean) => set({ tables: withChosen(draft.tables, names, isChosen) })
  const everyShown = found.length > 0 && found.every(o => chosen.has(o))
  const someShown = found.some(o => chosen.has(o))
  return (
    <>
      <Title3 as="h2">Which tables?</Title3>
      {all.length === 0 && <Empty title={`${draft.source} holds nothing that could be copied`} />}
      <HowRead draft={draft} set={set} fault={fault} />
      <div className={styles.bar}>
        <Input
          contentBefore={<SearchRegular />}
          placeholder="Search"
          aria-label="Search tables"
          value={text}
          onChange={(_, { value }) => setText(value)}
        />
        <Checkbox
          label={shown ? `All ${count(found.length)} found` : `All ${count(found.length)} tables`}
          checked={everyShown ? true : someShown ? 'mixed' : false}
          onChange={() => choose(found, !everyShown)}
        />
        {text.trim() !== '' && !all.includes(text.trim()) && (
          <Button
            icon={<AddRegular />}
            onClick={() => {
              choose([text.trim()], true)
              setText('')
            }}
          >
            {/[*?]/.test(text) ? `All that match ${text.trim()}` : `By its name: ${text.trim()}`}
          </Button>
        )}
        <Text className={styles.muted} aria-live="polite">
          {count(chosen.size)} chosen
        </Text>
      </div>
      <Grid
        label="Tables of the source"
        rows={found}
        keyOf={o => o}
        maxHeight="38vh"
        columns={[
          {
            name: 'Copy',
            width: '60px',
            cell: o => (
              <Checkbox
                aria-label={`Copy ${o}`}
                checked={chosen.has(o)}
                onChange={(_, { checked }) => choose([o], checked === true)}
              />
            ),
          },
          { name: 'Table', cell: o => o },
          {
            name: 'Rows and columns',
            cell: o => (
              <Button
                size="small"
                appearance="subtle"
                icon={<EyeRegular />}
                aria-label={`Look at ${o}`}
                aria-expanded={looked === o}
                onClick={() => setLooked(looked === o ? undefined : o)}
              />
            ),
          },
        ]}
      />
      {looked !== undefined && <Look key={looked} table={draftOf(draft.tables, looked)} draft={draft} set={set} />}
      {connector?.queries && <Queries draft={draft} set={set} fault={fault} />}
    </>
  )
}

/** What is copied is what a query finds. */
function Queries({ draft, set, fault }: StepProps) {
  const styles = useStyles()
  const [looked, setLooked] = useState<string>()
  const queries = draft.tables.filter(t => t.query !== undefined)
  const at = (t: TableDraft, setting: string) => fault(`tables.${draft.tables.indexOf(t)}.${setting}`)
  const edit = (key: string, part: Partial<TableDraft>) =>
    set({ tables: draft.tables.map(t => (t.key === key ? { ...t, ...part } : t)) })
  const table = queries.find(t => t.key === looked)
  return (
    <section className={styles.queries} aria-label="Queries">
      {queries.map(t => (
        <div key={t.key} className={styles.query}>
          <Field label={`Destination of ${t.key}`} required {...shown(at(t, 'to'))}>
            <Input
              placeholder="name of the table"
              value={t.to ?? ''}
              onChange={(_, { value }) => edit(t.key, { to: value })}
            />
          </Field>
          <Field label={`SQL of ${t.key}`} required {...shown(at(t, 'query'))}>
            <Textarea
              className={styles.sql}
              textarea={{ spellCheck: false, style: { fontFamily: 'inherit' } }}
              resize="vertical"
              placeholder="SELECT ..."
              value={t.query ?? ''}
              onChange={(_, { value }) => edit(t.key, { query: value })}
            />
          </Field>
          <div className={styles.bar}>
            <Button
              appearance="subtle"
              icon={<EyeRegular />}
              aria-label={`Look at ${t.key}`}
              aria-expanded={looked === t.key}
              disabled={lookedAt(draft, t) === undefined}
              onClick={() => setLooked(looked === t.key ? undefined : t.key)}
            />
            <Button
              appearance="subtle"
              icon={<DeleteRegular />}
              aria-label={`Remove ${t.key}`}
              onClick={() => set({ tables: draft.tables.filter(other => other.key !== t.key) })}
            />
          </div>
        </div>
      ))}
      {table && <Look key={`${table.key} ${table.query}`} table={table} draft={draft} set={set} />}
      <Button icon={<AddRegular />} onClick={() => set({ tables: withQuery(draft) })}>
        Add a query
      </Button>
    </section>
  )
}

/** The columns of a table, to be chosen from, and its first rows. */
function Look({ table, draft, set }: Pick<StepProps, 'draft' | 'set'> & { table: TableDraft }) {
  const styles = useStyles()
  const looked = useLookedAt(draft, table)
  const columns = useQuery({ ...columnsQuery(draft.source, looked ?? {}), enabled: looked !== undefined })
  const preview = useQuery({ ...previewQuery(draft.source, looked ?? {}), enabled: looked !== undefined })
  const object = table.key
  const isChosen = draft.tables.some(t => t.key === object)
  const isCopied = (name: string) => isChosen && (table.columns === undefined || name in table.columns)
  const choose = (name: string, isWanted: boolean) => {
    const before = table.columns ?? Object.fromEntries(columns.data!.columns.map(c => [c.name, { to: c.name }]))
    const chosen = Object.fromEntries(
      columns
        .data!.columns.filter(c => (c.name === name ? isWanted : c.name in before))
        .map(c => [c.name, before[c.name] ?? { to: c.name }]),
    )
    const isAll = columns.data!.columns.every(c => chosen[c.name]?.to === c.name)
    set({
      tables: draft.tables.map(t => {
        if (t.key !== object) return t
        const { columns: _, ...rest } = t
        return isAll ? rest : { ...rest, columns: chosen }
      }),
    })
  }
  return (
    <section aria-label={`Columns and rows of ${object}`}>
      <Title3 as="h3">{object}</Title3>
      {looked === undefined && <Text>This pattern matches several tables, and each has its own columns.</Text>}
      {columns.isError && <Failure error={columns.error} />}
      {columns.isLoading && <Spinner label="Asking for the columns" />}
      {columns.data && (
        <>
          <Text block className={styles.muted}>
            {columns.data.rows !== null && `about ${count(columns.data.rows)} rows`}
            {columns.data.bytes !== null && `, ${size(columns.data.bytes)}`}
          </Text>
          <fieldset className={styles.columns} aria-label="Columns">
            {columns.data.columns.map(c => (
              <Checkbox
                key={c.name}
                label={`${c.name} ${c.type}${c.key ? ', key' : ''}`}
                disabled={!isChosen}
                checked={isCopied(c.name)}
                onChange={(_, { checked }) => choose(c.name, checked === true)}
              />
            ))}
          </fieldset>
        </>
      )}
      {preview.isError && <Failure error={preview.error} />}
      {preview.isLoading && <Spinner label="Asking for rows" />}
      {preview.data && (
        <Grid
          label={`First rows of ${object}`}
          rows={preview.data.rows.map((values, i) => ({ values, i }))}
          keyOf={r => r.i}
          maxHeight="30vh"
          columns={preview.data.columns.map((c, i) => ({
            name: c.name,
            cell: (r: { values: (string | null)[] }) => r.values[i] ?? <em className={styles.muted}>null</em>,
          }))}
        />
      )}
    </section>
  )
}
