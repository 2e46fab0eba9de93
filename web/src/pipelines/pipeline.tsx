/** One pipeline: its graph, and its runs. */
import { makeStyles, Spinner, Text } from '@fluentui/react-components'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Link } from 'wouter'
import { Failure } from '../parts/failure.tsx'
import { PageHead } from '../parts/page.tsx'
import { useMay } from '../parts/session.ts'
import { pipelineQuery } from './api.ts'
import { CannotRun } from './cannotrun.tsx'
import { PipelineGraph } from './graph.tsx'
import type { Node } from './layout.ts'
import { flowPathOf, link, PipelineRunList, pathOf } from './runlist.tsx'
import { RunPipeline } from './runpipeline.tsx'

const useStyles = makeStyles({
  part: { display: 'flex', flexDirection: 'column', gap: '14px' },
})

export default function PipelinePage({ factory, name }: { factory: string; name: string }) {
  const styles = useStyles()
  const found = useQuery(pipelineQuery(factory, name))
  const [shown, setShown] = useState<string>()
  const mayRun = useMay('operator')
  const { data } = found
  const node = data && shown !== undefined ? nodeIn(data.activities, shown) : undefined
  return (
    <>
      <PageHead title={name} beside={<Text>{data?.description}</Text>}>
        <Link href={pathOf(factory)} style={link}>
          To {factory}
        </Link>
        {mayRun && data && data.findings.length === 0 && <RunPipeline factory={factory} pipeline={name} />}
      </PageHead>
      <div className={styles.part}>
        {found.isError && <Failure error={found.error} />}
        {found.isPending && <Spinner label="Reading the pipeline" />}
        {data && <CannotRun findings={data.findings} />}
        {data && <PipelineGraph pipeline={data} onOpen={setShown} />}
        {node && (
          <Text aria-live="polite">
            <b>{node.name}</b>: {node.type}
            {node.calls && (
              <>
                {' of '}
                <Link href={pathOf(factory, node.calls)} style={link}>
                  {node.calls}
                </Link>
              </>
            )}
            {node.flow && (
              <>
                {' of '}
                <Link href={flowPathOf(factory, node.flow)} style={link}>
                  {node.flow}
                </Link>
              </>
            )}
            {node.dependsOn.length > 0 &&
              `, after ${node.dependsOn.map(d => `${d.activity} (${d.conditions.join(' or ')})`).join(' and ')}`}
          </Text>
        )}
        <PipelineRunList filter={{ factory, pipeline: name }} maxHeight="40vh" />
      </div>
    </>
  )
}

function nodeIn(activities: readonly Node[], name: string): Node | undefined {
  for (const node of activities) {
    if (node.name === name) return node
    const inner = nodeIn(
      node.branches.flatMap(b => b.activities),
      name,
    )
    if (inner) return inner
  }
  return undefined
}
