/** Choosing tables and their columns, with a look at their rows. */
import { Button, Checkbox, Input, makeStyles, Spinner, Text, Title3, tokens } from '@fluentui/react-components'
import { EyeRegular, SearchRegular } from '@fluentui/react-icons'
import { useQuery } from '@tanstack/react-query'
import { useDeferredValue, useState } from 'react'
import { columnsQuery, objectsQuery, previewQuery } from '../api.ts'
import { count, size } from '../format.ts'
import { Empty } from '../parts/empty.tsx'
import { Failure } from '../parts/failure.tsx'
import { Grid } from '../parts/grid.tsx'
import type { TableDraft } from './draft.ts'
import type { StepProps } from './page.tsx'

const useStyles = makeStyles({
  bar: { display: 'flex', gap: '12px', alignItems: 'center', flexWrap: 'wrap' },
  columns: { display: 'flex', flexWrap: 'wrap', gap: '0 12px', border: 'none', margin: 0, padding: 0 },
  muted: { color: tokens.colorNeutralForeground2 },
})

export function TablesStep({ draft, set }: StepProps) {
  const styles = useStyles()
  const [text, setText] = useState('')
  const shown = useDeferredValue(text.toLowerCase())
  const [looked, setLooked] = useState<string>()
  const objects = useQuery({ ...objectsQuery(draft.source, ''), placeholderData: undefined })
  if (objects.isError) return <Failure error={objects.error} />
  if (!objects.data) return <Spinner label={`Asking ${draft.source}`} />
  const chosen = new Set(draft.tables.map(t => t.from))
  // Patterns and what is gone are choices too.
  const all = [...new Set([...draft.tables.map(t => t.from), ...objects.data.objects])].sort()
  const found = shown ? all.filter(o => o.toLowerCase().includes(shown)) : all
  const choose = (names: string[], isChosen: boolean) => {
    const changed = new Set(names)
    const kept = draft.tables.filter(t => isChosen || !changed.has(t.from))
    const added = isChosen ? names.filter(n => !chosen.has(n)).map((from): TableDraft => ({ from, rest: {} })) : []
    set({ tables: [...kept, ...added] })
  }
  const everyShown = found.length > 0 && found.every(o => chosen.has(o))
  const someShown = found.some(o => chosen.has(o))
  if (all.length === 0) return <Empty title={`${draft.source} holds nothing that could be copied`} />
  return (
    <>
      <Title3 as="h2">Which tables?</Title3>
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
      {looked !== undefined && <Look key={looked} object={looked} draft={draft} set={set} />}
    </>
  )
}

/** The columns of a table, to be chosen from, and its first rows. */
function Look({ object, draft, set }: StepProps & { object: string }) {
  const styles = useStyles()
  const columns = useQuery(columnsQuery(draft.source, object))
  const preview = useQuery(previewQuery(draft.source, object))
  const table = draft.tables.find(t => t.from === object)
  const isCopied = (name: string) => table !== undefined && (table.columns === undefined || name in table.columns)
  const choose = (name: string, isChosen: boolean) => {
    const before = table?.columns ?? Object.fromEntries(columns.data!.columns.map(c => [c.name, { to: c.name }]))
    const chosen = Object.fromEntries(
      columns
        .data!.columns.filter(c => (c.name === name ? isChosen : c.name in before))
        .map(c => [c.name, before[c.name] ?? { to: c.name }]),
    )
    const isAll = columns.data!.columns.every(c => chosen[c.name]?.to === c.name)
    set({
      tables: draft.tables.map(t => {
        if (t.from !== object) return t
        const { columns: _, ...rest } = t
        return isAll ? rest : { ...rest, columns: chosen }
      }),
    })
  }
  return (
    <section aria-label={`Columns and rows of ${object}`}>
      <Title3 as="h3">{object}</Title3>
      {columns.isError && <Failure error={columns.error} />}
      {columns.isPending && <Spinner label="Asking for the columns" />}
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
                disabled={!table}
                checked={isCopied(c.name)}
                onChange={(_, { checked }) => choose(c.name, checked === true)}
              />
            ))}
          </fieldset>
        </>
      )}
      {preview.isError && <Failure error={preview.error} />}
      {preview.isPending && <Spinner label="Asking for rows" />}
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
