import { useQuery } from '@tanstack/react-query'
import { Link } from 'wouter'
import { runQuery } from '../api.ts'
import { PageHead } from '../parts/page.tsx'
import { RunControls } from '../parts/runcontrols.tsx'
import { RunPanel } from '../parts/runpanel.tsx'

export function RunPage({ id }: { id: string }) {
  const run = useQuery(runQuery(id))
  return (
    <>
      <PageHead title={run.data ? `${run.data.job}: a run` : 'Run'}>
        {run.data && <Link href={`/jobs/${encodeURIComponent(run.data.job)}`}>To the job</Link>}
        {run.data && <RunControls run={run.data} />}
      </PageHead>
      <RunPanel id={id} />
    </>
  )
}
