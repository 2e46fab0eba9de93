/** The copy mode: once, only what changed, or every change until it is completed. */
import {
  Button,
  Field,
  Input,
  makeStyles,
  Radio,
  RadioGroup,
  Select,
  Spinner,
  Text,
  Title3,
  tokens,
} from '@fluentui/react-components'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { columnsQuery, growthQuery } from '../api.ts'
import { Failure } from '../parts/failure.tsx'
import { shown } from '../parts/faults.ts'
import { Grid } from '../parts/grid.tsx'
import { type Draft, type Mode, type TableDraft, withSetting } from './draft.ts'
import type { StepProps } from './step.ts'
import { useConnector, useLookedAt } from './store.tsx'

const useStyles = makeStyles({
  narrow: { maxWidth: '420px' },
  bar: { display: 'flex', flexWrap: 'wrap', gap: '8px', alignItems: 'end' },
  muted: { color: tokens.colorNeutralForeground2 },
})

/** Types whose values can grow from change to change. */
const GROWS = /^(u?int\d|decimal|float|date|time)/
const INDEXED: Record<string, string> = { true: ', indexed', false: ', not indexed', null: '' }

export function ModeStep({ draft, set, fault }: StepProps) {
  const styles = useStyles()
  const [column, setColumn] = useState('')
  const source = useConnector(draft.source)
  const tells = source?.tellsChanges ?? false
  const knows = source?.knowsNew ?? false
  const merges = useConnector(draft.destination)?.update.includes('merge') ?? false
  const follows = tells && merges
  const choose = (mode: Mode) => {
    // What the store knows by itself need not be entered.
    const tables = draft.tables.map((t): TableDraft => {
      if (mode !== 'incremental' || t.tracking || t.incrementalColumn) return t
      return knows ? { ...t, tracking: 'watermark' } : t
    })
    // What follows changes replaces rows by their keys; rows that are only added may be appended.
    const changes =
      mode === 'online' ? draft.update !== 'merge' : mode === 'incremental' && draft.update === 'overwrite'
    set({ mode, tables, ...(changes ? { update: merges ? ('merge' as const) : ('append' as const) } : {}) })
  }
  /** How changes of some tables are found; what the log tells is merged. */
  const edit = (part: Partial<TableDraft>, isMeant: (table: TableDraft) => boolean) =>
    set({
      ...(part.tracking === 'cdc' ? { update: 'merge' as const } : {}),
      tables: draft.tables.map(t => {
        if (!isMeant(t)) return t
        const { tracking: _, incrementalColumn: __, ...rest } = t
        return { ...rest, ...part }
      }),
    })
  const editAll = (part: Partial<TableDraft>) => edit(part, () => true)
  const lacking = tells
    ? `${draft.destination} cannot take changes`
    : `${source?.label ?? 'this store'} does not tell its changes`
  const online = follows ? 'everything, then every change until you complete the copy' : lacking
  return (
    <>
      <Title3 as="h2">What is copied?</Title3>
      <Field label="Copy mode" {...shown(fault('mode'))}>
        <RadioGroup value={draft.mode} onChange={(_, { value }) => choose(value as Mode)}>
          <Radio value="full" label="Full: everything, in each run" />
          <Radio value="incremental" label="Incremental: everything at first, then only what changed" />
          <Radio value="online" disabled={!follows} label={`Online: ${online}`} />
        </RadioGroup>
      </Field>
      {draft.mode === 'incremental' && draft.tables.length > 1 && !knows && (
        <div className={styles.bar}>
          <Field label="A column that all tables have">
            <Input placeholder="updated_at" value={column} onChange={(_, { value }) => setColumn(value)} />
          </Field>
          <Button disabled={column.trim() === ''} onClick={() => editAll({ incrementalColumn: column.trim() })}>
            All by this column
          </Button>
          {follows && (
            <Button onClick={() => editAll({ tracking: 'cdc' })}>Use the log of the store for all tables</Button>
          )}
        </div>
      )}
      {draft.mode === 'incremental' && (
        <Grid
          label="How changes are found"
          rows={draft.tables}
          keyOf={t => t.key}
          maxHeight="40vh"
          columns={[
            { name: 'Table', cell: t => t.from ?? t.key },
            {
              name: 'Changes are found by',
              cell: (t, i) => (
                <Field {...shown(fault(`tables.${i}.incrementalColumn`) ?? fault(`tables.${i}.tracking`))}>
                  <Tracking
                    table={t}
                    draft={draft}
                    tells={follows}
                    knows={knows}
                    onChange={part => edit(part, other => other.key === t.key)}
                    className={styles.narrow}
                  />
                </Field>
              ),
            },
            {
              name: 'The first run copies',
              cell: t => (t.incrementalColumn ? <Growth draft={draft} table={t} column={t.incrementalColumn} /> : ''),
            },
          ]}
        />
      )}
      {(draft.mode === 'online' || (draft.mode === 'incremental' && draft.tables.some(t => t.tracking === 'cdc'))) && (
        <Field label="Rows that are deleted at the source" className={styles.narrow}>
          <Select
            value={String(draft.rest.deletes ?? '')}
            onChange={(_, { value }) => set({ rest: withSetting(draft.rest, 'deletes', value || undefined) })}
          >
            <option value="">are deleted at the destination too</option>
            <option value="mark">are marked in the column _deleted_at</option>
            <option value="ignore">stay at the destination</option>
          </Select>
        </Field>
      )}
    </>
  )
}

/** How far the first run comes by a column, and what is to be known of it. */
function Growth({ draft, table, column }: { draft: Draft; table: TableDraft; column: string }) {
  const styles = useStyles()
  const looked = useLookedAt(draft, table)
  const growth = useQuery({ ...growthQuery(draft.source, looked ?? {}, column), enabled: looked !== undefined })
  if (looked === undefined) return <Text className={styles.muted}>each of its tables by itself</Text>
  if (growth.isError) return <Text>{growth.error.message}</Text>
  if (!growth.data) return <Spinner size="tiny" aria-label="Asking for the highest value" />
  const { range, notes } = growth.data
  return <Text title={notes.join('; ')}>{[range, ...notes].join('; ')}</Text>
}

interface Props {
  table: TableDraft
  draft: Draft
  tells: boolean
  knows: boolean
  className: string
  onChange: (part: Partial<TableDraft>) => void
}

function Tracking({ table, draft, tells, knows, className, onChange }: Props) {
  const looked = useLookedAt(draft, table)
  const columns = useQuery({ ...columnsQuery(draft.source, looked ?? {}), enabled: looked !== undefined && !knows })
  if (columns.isError) return <Failure error={columns.error} />
  const { tracking, incrementalColumn } = table
  const value =
    tracking === 'cdc' ? 'cdc' : incrementalColumn ? `column:${incrementalColumn}` : knows && tracking ? 'new' : ''
  const all = columns.data?.columns ?? []
  const growing = all.filter(c => GROWS.test(c.type))
  const texts = all.filter(c => /^utf8/.test(c.type))
  const isKnown = all.some(c => c.name === incrementalColumn)
  return (
    <Select
      size="small"
      className={className}
      aria-label={`How changes of ${table.key} are found`}
      value={value}
      onChange={(_, data) => {
        if (data.value === 'cdc') return onChange({ tracking: 'cdc' })
        if (data.value === 'new') return onChange({ tracking: 'watermark' })
        if (data.value.startsWith('column:')) return onChange({ incrementalColumn: data.value.slice(7) })
        onChange({})
      }}
    >
      <option value="">choose</option>
      {knows && <option value="new">the store: it knows what is new</option>}
      {tells && <option value="cdc">the log of the store: inserts, updates, deletes</option>}
      {incrementalColumn && !isKnown && <option value={`column:${incrementalColumn}`}>{incrementalColumn}</option>}
      {growing.length > 0 && (
        <optgroup label="A column that grows with every change">
          {growing.map(c => (
            <option key={c.name} value={`column:${c.name}`}>
              {`${c.name}, ${c.type}${c.key ? ', key' : ''}${INDEXED[String(c.indexed)]}`}
            </option>
          ))}
        </optgroup>
      )}
      {texts.length > 0 && (
        <optgroup label="Text: only where its values grow as texts compare">
          {texts.map(c => (
            <option key={c.name} value={`column:${c.name}`}>
              {`${c.name}, ${c.type}${INDEXED[String(c.indexed)]}`}
            </option>
          ))}
        </optgroup>
      )}
    </Select>
  )
}
