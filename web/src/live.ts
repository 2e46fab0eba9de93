/** Live events: runs that change are put into what pages show, lists are asked for again. */
import { useEffect, useState } from 'react'
import { client, type RunDetail, type RunView } from './api.ts'

/** What is asked for again is asked for at most so often. */
const AGAIN_MS = 1000

const waiting = new Set<string>()

function askAgain(...keys: string[][]): void {
  if (waiting.size === 0) {
    setTimeout(() => {
      for (const key of waiting) client.invalidateQueries({ queryKey: JSON.parse(key) })
      waiting.clear()
    }, AGAIN_MS)
  }
  for (const key of keys) waiting.add(JSON.stringify(key))
}

function onRun(run: RunView): void {
  client.setQueryData<RunDetail>(['run', run.id], known => known && { ...known, ...run })
  client.setQueryData<RunView | null>(['job', run.job, 'last'], known => (known && known.id > run.id ? known : run))
  for (const [key, known] of client.getQueriesData<{ runs: RunView[] }>({ queryKey: ['runs'] })) {
    if (!known?.runs.some(r => r.id === run.id)) continue
    client.setQueryData(key, { runs: known.runs.map(r => (r.id === run.id ? run : r)) })
  }
  askAgain(['run', run.id], ['tables', run.id], ['jobs'], ['runs'], ['summary'])
  if (['completed', 'failed', 'cancelled'].includes(run.state)) askAgain(['totals', run.job], ['errors', run.id])
}

/** Listens as long as the page is open; tells whether the server is there. */
export function useLive(): boolean {
  const [connected, setConnected] = useState(true)
  useEffect(() => {
    const source = new EventSource('/api/v1/events')
    let lost = false
    source.addEventListener('run', event => onRun(JSON.parse((event as MessageEvent<string>).data)))
    source.onopen = () => {
      setConnected(true)
      // Events that came meanwhile were missed.
      if (lost) client.invalidateQueries()
      lost = false
    }
    source.onerror = () => {
      lost = true
      setConnected(false)
    }
    return () => source.close()
  }, [])
  return connected
}
