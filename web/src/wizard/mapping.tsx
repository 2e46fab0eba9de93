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
import { useId, useState } from 'react'
import { columnsQuery } from '../api.ts'
import { Failure } from '../parts/failure.tsx'
import { type FaultAt, shown, within } from '../parts/faults.ts'
import { Options } from '../parts/field.tsx'
import { Grid } from '../parts/grid.tsx'
import { type ColumnDraft, type Draft, type TableDraft, type Update, withSetting } from './draft.ts'
import type { StepProps } from './step.ts'
import { useConnector, useLookedAt } from './store.tsx'

const useStyles = makeStyles({
  narrow: { maxWidth: '360px' },
  muted: { color: tokens.colorNeutralForeground2 },
  bar: { display: 'flex', flexWrap: 'wrap' },
  rows: { display: 'grid', gridTemplateColumns: 'minmax(260px, 560px) 220px', gap: '12px', alignItems: 'start' },
  part: { display: 'flex', flexDirection: 'column', gap: '12px' },
})

/** Settings of one table that are seen only when it is opened. */
const OF_ONE = ['where', 'limit', 'columns']

const MEANING: Record<Update, string> = {
  append: 'append: rows are added to those that are there',
  overwrite: 'overwrite: the table is replaced, at once and as a whole',
  merge: 'merge: rows with the same key are replaced, new ones are added',
}

export function MappingStep({ draft, set, fault }: StepProps) {
  const styles = useStyles()
  const destination = useConnector(draft.destination)
  const updates = destination?.update ?? []
  // A setting of one table that is wrong is seen at once.
  const [opened, setOpened] = useState(
    () => draft.tables.find((_, i) => OF_ONE.some(s => fault(`tables.${i}.${s}`)))?.key,
  )
  const edit = (key: string, part: Partial<TableDraft>) =>
    set({
      tables: draft.tables.map(t => {
        if (t.key !== key) return t
        const entries = Object.entries({ ...t, ...part }).filter(([, v]) => v !== undefined)
        return Object.fromEntries(entries) as unknown as TableDraft
      }),
    })
  const table = draft.tables.find(t => t.key === opened)
  const place = `tables.${draft.tables.findIndex(t => t.key === opened)}`
  const setAll = (name: string, value: unknown) => set({ rest: withSetting(draft.rest, name, value) })
  return (
    <>
      <Title3 as="h2">How are rows written?</Title3>
      <Field label="All tables" className={styles.narrow} {...shown(fault('update'))}>
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
            onChange={(_, { checked }) => setAll('truncate', checked === true || undefined)}
          />
        )}
        <Checkbox
          label="Leave out rows that cannot be copied, to be copied again later"
          checked={draft.rest.onRowError === 'skip'}
          onChange={(_, { checked }) => setAll('onRowError', checked ? 'skip' : undefined)}
        />
        <Checkbox
          label="Add columns that say which run wrote a row, and when"
          checked={draft.rest.audit !== undefined && draft.rest.audit !== false}
          onChange={(_, { checked }) => setAll('audit', checked === true || undefined)}
        />
      </div>
      <Field label="When columns of the source change" className={styles.narrow}>
        <Select value={String(draft.rest.drift ?? '')} onChange={(_, { value }) => setAll('drift', value || undefined)}>
          <option value="">as usual: stop where a copied column is concerned</option>
          <option value="freeze">freeze: stop, and name the change</option>
          <option value="evolve">evolve: change the destination too</option>
          <option value="ignore">ignore: leave the destination as it is</option>
        </Select>
      </Field>
      <Limits
        value={draft.rest.limits as Record<string, unknown> | undefined}
        onChange={limits => setAll('limits', limits)}
        fault={within(fault, 'limits')}
      />
      <Options
        title="How they are written"
        fields={destination?.write ?? []}
        value={(draft.rest.write as Record<string, unknown> | undefined) ?? {}}
        onChange={write => setAll('write', write)}
        fault={within(fault, 'write')}
      />
      <Grid
        label="Mapping"
        rows={draft.tables}
        keyOf={t => t.key}
        maxHeight="38vh"
        columns={[
          { name: 'Source', cell: t => t.from ?? t.key },
          {
            name: 'Destination',
            cell: (t, i) => (
              <Field {...shown(fault(`tables.${i}.to`))}>
                <Input
                  size="small"
                  aria-label={`Destination of ${t.key}`}
                  placeholder="the same name"
                  value={t.to ?? ''}
                  onChange={(_, { value }) => edit(t.key, { to: value || undefined } as Partial<TableDraft>)}
                />
              </Field>
            ),
          },
          {
            name: 'Update method',
            cell: (t, i) => (
              <Field {...shown(fault(`tables.${i}.update`))}>
                <Select
                  size="small"
                  aria-label={`Update method of ${t.key}`}
                  value={t.update ?? ''}
                  onChange={(_, { value }) => edit(t.key, { update: value || undefined } as Partial<TableDraft>)}
                >
                  <option value="">the same as for all tables</option>
                  {updates.map(u => (
                    <option key={u}>{u}</option>
                  ))}
                </Select>
              </Field>
            ),
          },
          {
            name: 'Keys',
            cell: (t, i) => (
              <Field {...shown(fault(`tables.${i}.keys`))}>
                <Input
                  size="small"
                  aria-label={`Keys of ${t.key}`}
                  placeholder="the primary key"
                  value={t.keys?.join(', ') ?? ''}
                  onChange={(_, { value }) => {
                    const keys = value.split(/,\s*/)
                    edit(t.key, { keys: value === '' ? undefined : keys } as Partial<TableDraft>)
                  }}
                />
              </Field>
            ),
          },
          {
            name: 'Columns and rows',
            cell: t => (
              <Button
                size="small"
                appearance="subtle"
                icon={<TableSettingsRegular />}
                aria-label={`Columns of ${t.key}: ${chosenOf(t)}`}
                aria-expanded={opened === t.key}
                onClick={() => setOpened(opened === t.key ? undefined : t.key)}
              >
                {chosenOf(t)}
              </Button>
            ),
          },
        ]}
      />
      {table && (
        <section className={styles.part} aria-label={`Settings of ${table.key}`}>
          <Title3 as="h3">{table.from ?? table.key}</Title3>
          <Rows table={table} fault={within(fault, place)} onChange={rest => edit(table.key, { rest })} />
          <Columns
            key={table.key}
            draft={draft}
            table={table}
            fault={within(fault, `${place}.columns`)}
            onChange={columns => edit(table.key, { columns } as Partial<TableDraft>)}
          />
        </section>
      )}
    </>
  )
}

function chosenOf({ columns, rest }: TableDraft): string {
  const some = [rest.where === undefined ? '' : 'filtered', rest.limit === undefined ? '' : 'limited']
  return [columns ? `${Object.keys(columns).length} chosen` : 'all, by name', ...some].filter(Boolean).join(', ')
}

/** How fast the job may go. */
function Limits(props: {
  value?: Record<string, unknown> | undefined
  onChange: (value: unknown) => void
  fault: FaultAt
}) {
  const field = (name: string, description: string) => ({
    name,
    description,
    secret: false,
    type: 'number' as const,
    choices: [],
    default: null,
    required: false,
    listed: false,
  })
  return (
    <Options
      title="How fast it may go"
      fields={[
        field('rowsPerSecond', 'No limit where it is left out'),
        { ...field('bytesPerSecond', 'Such as 20MB'), type: 'text' },
        field('parallel', 'Pieces of tables that are copied at one time'),
      ]}
      value={props.value ?? {}}
      onChange={props.onChange}
      fault={props.fault}
    />
  )
}

/** Which rows of a table are copied. */
function Rows(props: { table: TableDraft; fault: FaultAt; onChange: (rest: TableDraft['rest']) => void }) {
  const { table, fault, onChange } = props
  const styles = useStyles()
  const { where, limit } = table.rest
  return (
    <div className={styles.rows}>
      <Field
        label={`Only rows of ${table.key} where`}
        hint="A condition in the language of the source"
        {...shown(fault('where'))}
      >
        <Input
          placeholder="total > 0"
          value={where === undefined ? '' : String(where)}
          onChange={(_, { value }) => onChange(withSetting(table.rest, 'where', value || undefined))}
        />
      </Field>
      <Field label="At most so many rows" {...shown(fault('limit'))}>
        <Input
          type="number"
          min={0}
          value={limit === undefined ? '' : String(limit)}
          onChange={(_, { value }) =>
            onChange(withSetting(table.rest, 'limit', value === '' ? undefined : Number(value)))
          }
        />
      </Field>
    </div>
  )
}

interface ColumnsProps {
  draft: Draft
  table: TableDraft
  fault: FaultAt
  onChange: (columns: Record<string, ColumnDraft> | undefined) => void
}

function Columns({ draft, table, fault, onChange }: ColumnsProps) {
  const styles = useStyles()
  const looked = useLookedAt(draft, table)
  const columns = useQuery({ ...columnsQuery(draft.source, looked ?? {}), enabled: looked !== undefined })
  // Those of a table that is there already; where there is none it is made.
  const there = useQuery({
    ...columnsQuery(draft.destination, { object: table.to ?? table.from ?? '' }),
    enabled: looked !== undefined,
  })
  const existing = there.data?.columns ?? []
  const list = useId()
  if (looked === undefined) return <Text>This pattern matches several tables, and each has its own columns.</Text>
  if (columns.isError) return <Failure error={columns.error} />
  if (!columns.data) return <Spinner label="Asking for the columns" />
  const byName = Object.fromEntries(columns.data.columns.map(c => [c.name, { to: c.name }]))
  const mapped: Record<string, ColumnDraft> = table.columns ?? byName
  const edit = (name: string, part: ColumnDraft) => onChange({ ...mapped, [name]: part })
  return (
    <>
      <datalist id={list}>
        {existing.map(c => (
          <option key={c.name} value={c.name}>
            {c.type}
          </option>
        ))}
      </datalist>
      <Grid
        label={`Columns of ${table.key}`}
        rows={columns.data.columns.filter(c => c.name in mapped)}
        keyOf={c => c.name}
        maxHeight="34vh"
        columns={[
          { name: 'Source column', cell: c => c.name },
          { name: 'Type', cell: c => c.type },
          {
            name: 'Destination column',
            cell: c => (
              <Field {...shown(fault(c.name))}>
                <Input
                  size="small"
                  aria-label={`Destination of column ${c.name}`}
                  input={{ list }}
                  value={mapped[c.name]!.to}
                  onChange={(_, { value }) => edit(c.name, { ...mapped[c.name]!, to: value })}
                />
              </Field>
            ),
          },
          {
            name: 'Type at the destination',
            cell: c => (
              <Input
                size="small"
                aria-label={`Type of column ${c.name} at the destination`}
                placeholder={existing.find(e => e.name === mapped[c.name]!.to)?.type ?? 'the same'}
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
        {existing.length > 0
          ? `${there.data!.object} is there, with ${existing.map(c => `${c.name} ${c.type}`).join(', ')}. `
          : 'The table is made where it is not there. '}
        Columns are chosen in the step Tables. Types are such as decimal(10,2), timestamp[us], utf8.
      </Text>
      <div>
        <Button disabled={!table.columns} onClick={() => onChange(undefined)}>
          All, by name
        </Button>
      </div>
    </>
  )
}
