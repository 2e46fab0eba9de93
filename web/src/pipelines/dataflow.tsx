/** One data flow: its streams as a graph, and of the one that is chosen its columns and its SQL. */
import { Button, Field, makeStyles, Spinner, Text, Textarea, tokens } from '@fluentui/react-components'
import { TableRegular } from '@fluentui/react-icons'
import { useMutation, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Link } from 'wouter'
import { Failure } from '../parts/failure.tsx'
import { Grid, type GridColumn } from '../parts/grid.tsx'
import { PageHead } from '../parts/page.tsx'
import { actOn, type DataFlowView, dataFlowQuery } from './api.ts'
import { CannotRun } from './cannotrun.tsx'
import { PipelineGraph } from './graph.tsx'
import type { Node } from './layout.ts'
import { link, pathOf } from './runlist.tsx'

type Stream = DataFlowView['streams'][number]
type FlowColumn = NonNullable<Stream['columns']>[number]

const useStyles = makeStyles({
  part: { display: 'flex', flexDirection: 'column', gap: '14px' },
  ask: { display: 'flex', alignItems: 'end', gap: '12px', flexWrap: 'wrap' },
  sql: {
    margin: 0,
    padding: '10px',
    whiteSpace: 'pre-wrap',
    overflowWrap: 'anywhere',
    fontFamily: tokens.fontFamilyMonospace,
    fontSize: tokens.fontSizeBase200,
    border: `1px solid ${tokens.colorNeutralStroke2}`,
    borderRadius: tokens.borderRadiusMedium,
    backgroundColor: tokens.colorNeutralBackground2,
  },
})

export default function DataFlowPage({ factory, name }: { factory: string; name: string }) {
  const styles = useStyles()
  const found = useQuery(dataFlowQuery(factory, name))
  const [shown, setShown] = useState<string>()
  const { data } = found
  const stream = data?.streams.find(s => s.name === shown)
  return (
    <>
      <PageHead title={name} beside={<Text>{data?.description}</Text>}>
        <Link href={`${pathOf(factory)}/dataflows`} style={link}>
          To {factory}
        </Link>
      </PageHead>
      <div className={styles.part}>
        {found.isError && <Failure error={found.error} />}
        {found.isPending && <Spinner label="Reading the data flow" />}
        {data && <CannotRun findings={data.findings} />}
        {data && data.streams.length > 0 && (
          <PipelineGraph
            what="Streams"
            pipeline={{ name: data.name, activities: data.streams.map(nodeOf) }}
            onOpen={setShown}
          />
        )}
        {data && !stream && data.streams.length > 0 && <Text>Choose a stream to see its columns and its SQL.</Text>}
        {stream && <StreamView key={stream.name} factory={factory} flow={name} stream={stream} />}
      </div>
    </>
  )
}

/** A stream as a box of the graph. */
const nodeOf = ({ name, kind, inputs }: Stream): Node => ({
  name,
  type: kind,
  isActive: true,
  dependsOn: inputs.map(activity => ({ activity, conditions: [] })),
  branches: [],
  calls: null,
  flow: null,
})

const COLUMNS: GridColumn<FlowColumn>[] = [
  { name: 'Column', cell: c => c.name },
  { name: 'Type', cell: c => c.type },
  { name: 'Drifted', cell: c => (c.isDrifted ? 'yes' : '') },
]

interface StreamProps {
  factory: string
  flow: string
  stream: Stream
}

function StreamView({ factory, flow, stream: { name, kind, columns, sql } }: StreamProps) {
  const styles = useStyles()
  return (
    <section aria-label={`Stream ${name}`} className={styles.part}>
      <Text as="h2" size={400} weight="semibold">
        {name}: {kind}
      </Text>
      {columns ? (
        <Grid
          label={`Columns of ${name}`}
          columns={COLUMNS}
          rows={columns.map((c, i) => ({ ...c, i }))}
          keyOf={c => `${(c as FlowColumn & { i: number }).i}`}
          maxHeight="40vh"
        />
      ) : (
        <Text>Its columns are known when the sources are read: a source has no projection.</Text>
      )}
      <Rows factory={factory} flow={flow} stream={name} />
      {sql.map(one => (
        <pre key={one} className={styles.sql}>
          {one}
        </pre>
      ))}
    </section>
  )
}

/** The first rows of a stream, when they are asked for. */
function Rows({ factory, flow, stream }: { factory: string; flow: string; stream: string }) {
  const styles = useStyles()
  const [given, setGiven] = useState('')
  const rows = useMutation({
    mutationFn: () =>
      actOn.flowRows(
        factory,
        flow,
        stream,
        given.split('\n').filter(line => line.trim() !== ''),
      ),
  })
  const { data } = rows
  return (
    <>
      <div className={styles.ask}>
        <Field label="Parameters" hint="NAME=VALUE a line; STREAM.NAME=VALUE for the dataset of a source">
          <Textarea value={given} rows={1} onChange={(_, { value }) => setGiven(value)} />
        </Field>
        <Button
          icon={rows.isPending ? <Spinner size="tiny" /> : <TableRegular />}
          disabledFocusable={rows.isPending}
          onClick={() => rows.mutate()}
        >
          Show the first rows
        </Button>
      </div>
      {rows.isError && <Failure error={rows.error} />}
      {data && data.rows.length === 0 && <Text>It has no rows, of the first ones of its sources.</Text>}
      {data && data.rows.length > 0 && (
        <Grid
          label={`Rows of ${stream}`}
          columns={data.columns.map((column, i) => ({ name: column, cell: (row: Shown) => row.values[i] ?? 'null' }))}
          rows={data.rows.map((values, at) => ({ at, values }))}
          keyOf={row => String(row.at)}
          maxHeight="50vh"
        />
      )}
    </>
  )
}

interface Shown {
  at: number
  values: (string | null)[]
}
