/** What each table becomes at the destination: its name, how it is written, its keys and columns. */
import {
  Button,
  Checkbox,
  Field,
  Input,
  makeStyles,
  Select,
  Spinner,
  Text,
  Title3,
  tokens,
} from '@fluentui/react-components'
import { TableSettingsRegular } from '@fluentui/react-icons'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { columnsQuery, connectionsQuery, connectorsQuery } from '../api.ts'
import { Failure } from '../parts/failure.tsx'
import { Grid } from '../parts/grid.tsx'
import type { ColumnDraft, TableDraft, Update } from './draft.ts'
import type { StepProps } from './page.tsx'

const useStyles = makeStyles({
  narrow: { maxWidth: '360px' },
  muted: { color: tokens.colorNeutralForeground2 },
  bar: { display: 'flex', flexWrap: 'wrap' },
  part: { display: 'flex', flexDirection: 'column', gap: '12px' },
})

const MEANING: Record<Update, string> = {
  append: 'append: rows come to those that are there',
  overwrite: 'overwrite: the table is replaced, at once and as a whole',
  merge: 'merge: rows with the same key are replaced, others come to them',
}

/** The update methods that the destination knows. */
export function useUpdates(destination: string): Update[] {
  const connections = useQuery(connectionsQuery)
  const connectors = useQuery(connectorsQuery)
  const kind = connections.data?.find(c => c.name === destination)?.kind
  return connectors.data?.find(c => c.kind === kind)?.update ?? []
}

export function MappingStep({ draft, set }: StepProps) {
  const styles = useStyles()
  const updates = useUpdates(draft.destination)
  const [opened, setOpened] = useState<string>()
  const edit = (from: string, part: Partial<TableDraft>) =>
    set({
      tables: draft.tables.map(t => {
        if (t.from !== from) return t
        const entries = Object.entries({ ...t, ...part }).filter(([, v]) => v !== undefined)
        return Object.fromEntries(entries) as unknown as TableDraft
      }),
    })
  const table = draft.tables.find(t => t.from === opened)
  return (
    <>
      <Title3 as="h2">How do they arrive?</Title3>
      <Field label="All tables" className={styles.narrow}>
        <Select value={draft.update} onChange={(_, { value }) => set({ update: value as Update })}>
          {updates.map(u => (
            <option key={u} value={u}>
              {MEANING[u]}
            </option>
          ))}
        </Select>
      </Field>
      <div className={styles.bar}>
        {draft.update !== 'overwrite' && (
          <Checkbox
            label="Empty the destination before everything is copied"
            checked={draft.rest.truncate === true}
            onChange={(_, { checked }) =>
              set({ rest: withSetting(draft.rest, 'truncate', checked === true || undefined) })
            }
          />
        )}
        <Checkbox
          label="Leave out rows that cannot be copied, to be copied again later"
          checked={draft.rest.onRowError === 'skip'}
          onChange={(_, { checked }) =>
            set({ rest: withSetting(draft.rest, 'onRowError', checked ? 'skip' : undefined) })
          }
        />
      </div>
      <Grid
        label="Mapping"
        rows={draft.tables}
        keyOf={t => t.from}
        maxHeight="38vh"
        columns={[
          { name: 'Source', cell: t => t.from },
          {
            name: 'Destination',
            cell: t => (
              <Input
                size="small"
                aria-label={`Destination of ${t.from}`}
                placeholder="the same name"
                value={t.to ?? ''}
                onChange={(_, { value }) => edit(t.from, { to: value || undefined } as Partial<TableDraft>)}
              />
            ),
          },
          {
            name: 'Update method',
            cell: t => (
              <Select
                size="small"
                aria-label={`Update method of ${t.from}`}
                value={t.update ?? ''}
                onChange={(_, { value }) => edit(t.from, { update: value || undefined } as Partial<TableDraft>)}
              >
                <option value="">as all</option>
                {updates.map(u => (
                  <option key={u}>{u}</option>
                ))}
              </Select>
            ),
          },
          {
            name: 'Keys',
            cell: t => (
              <Input
                size="small"
                aria-label={`Keys of ${t.from}`}
                placeholder="the primary key"
                value={t.keys?.join(', ') ?? ''}
                onChange={(_, { value }) => {
                  const keys = value.split(/,\s*/)
                  edit(t.from, { keys: value === '' ? undefined : keys } as Partial<TableDraft>)
                }}
              />
            ),
          },
          {
            name: 'Columns',
            cell: t => (
              <Button
                size="small"
                appearance="subtle"
                icon={<TableSettingsRegular />}
                aria-label={`Columns of ${t.from}: ${chosenOf(t)}`}
                aria-expanded={opened === t.from}
                onClick={() => setOpened(opened === t.from ? undefined : t.from)}
              >
                {chosenOf(t)}
              </Button>
            ),
          },
        ]}
      />
      {table && (
        <Columns
          key={table.from}
          source={draft.source}
          table={table}
          onChange={columns => edit(table.from, { columns } as Partial<TableDraft>)}
        />
      )}
    </>
  )
}

/** The settings with another value of one, or without it. */
function withSetting(settings: Record<string, unknown>, name: string, value: unknown): Record<string, unknown> {
  const { [name]: _, ...others } = settings
  return value === undefined ? others : { ...others, [name]: value }
}

const chosenOf = (t: TableDraft) => (t.columns ? `${Object.keys(t.columns).length} chosen` : 'all, by name')

interface ColumnsProps {
  source: string
  table: TableDraft
  onChange: (columns: Record<string, ColumnDraft> | undefined) => void
}

function Columns({ source, table, onChange }: ColumnsProps) {
  const styles = useStyles()
  const columns = useQuery(columnsQuery(source, table.from))
  if (columns.isError) return <Failure error={columns.error} />
  if (!columns.data) return <Spinner label="Asking for the columns" />
  const byName = Object.fromEntries(columns.data.columns.map(c => [c.name, { to: c.name }]))
  const mapped: Record<string, ColumnDraft> = table.columns ?? byName
  const edit = (name: string, part: ColumnDraft) => onChange({ ...mapped, [name]: part })
  return (
    <section className={styles.part} aria-label={`Columns of ${table.from}`}>
      <Title3 as="h3">{table.from}</Title3>
      <Grid
        label={`Columns of ${table.from}`}
        rows={columns.data.columns.filter(c => c.name in mapped)}
        keyOf={c => c.name}
        maxHeight="34vh"
        columns={[
          { name: 'Source column', cell: c => c.name },
          { name: 'Type', cell: c => c.type },
          {
            name: 'Destination column',
            cell: c => (
              <Input
                size="small"
                aria-label={`Destination of column ${c.name}`}
                value={mapped[c.name]!.to}
                onChange={(_, { value }) => edit(c.name, { ...mapped[c.name]!, to: value })}
              />
            ),
          },
          {
            name: 'Type there',
            cell: c => (
              <Input
                size="small"
                aria-label={`Type of column ${c.name} at the destination`}
                placeholder="the same"
                value={mapped[c.name]!.type ?? ''}
                onChange={(_, { value }) => {
                  const { type: _type, ...rest } = mapped[c.name]!
                  edit(c.name, value ? { ...rest, type: value } : rest)
                }}
              />
            ),
          },
        ]}
      />
      <Text className={styles.muted}>
        Columns are chosen in the step Tables. Types are such as decimal(10,2), timestamp[us], utf8.
      </Text>
      <div>
        <Button disabled={!table.columns} onClick={() => onChange(undefined)}>
          All, by name
        </Button>
      </div>
    </section>
  )
}
