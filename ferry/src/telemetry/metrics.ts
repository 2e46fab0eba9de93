/**
 * Metrics for Prometheus, under OpenTelemetry's names (dots as underscores, units and `_total` behind): what the process
 * does, what the API answers, and what the state counts.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { State } from '../state/database.ts'
import { countStates } from '../state/runs.ts'

export interface Metrics {
  registry: Registry
  request(labels: { method: string; route: string; status: number }, seconds: number): void
  fired(name: string): void
}

export function makeMetrics(state: State, server: { atWork: () => number; listeners: () => number }): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const requests = new Histogram({
    name: 'http_server_request_duration_seconds',
    help: 'Duration of HTTP requests',
    labelNames: ['http_request_method', 'http_route', 'http_response_status_code'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  })
  const fired = new Counter({
    name: 'ferry_schedule_fired_total',
    help: 'Times of schedules and events of triggers that asked for a run',
    labelNames: ['kind'],
    registers: [registry],
  })
  new Gauge({
    name: 'ferry_run_count',
    help: 'Runs in the state, by their state',
    labelNames: ['state'],
    registers: [registry],
    async collect() {
      const counts = Object.entries(await countStates(state.db))
      this.reset()
      for (const [name, count] of counts) this.set({ state: name }, count)
    },
  })
  const total = (name: string, help: string, column: 'rows_read' | 'rows_copied' | 'rows_skipped' | 'bytes_read') =>
    new Counter({
      name,
      help,
      registers: [registry],
      async collect() {
        const row = await state.db
          .selectFrom('table_total')
          .select(eb => eb.fn.sum<number | null>(column).as('sum'))
          .executeTakeFirst()
        // It never gets smaller: the totals outlive the runs.
        this.reset()
        this.inc(Number(row?.sum ?? 0))
      },
    })
  total('ferry_rows_read_total', 'Rows read by runs that have ended', 'rows_read')
  total('ferry_rows_copied_total', 'Rows written by runs that have ended', 'rows_copied')
  total('ferry_rows_skipped_total', 'Rows skipped by runs that have ended', 'rows_skipped')
  total('ferry_io_read_bytes_total', 'Bytes read by runs that have ended', 'bytes_read')
  const now = (name: string, help: string, value: () => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(value())
      },
    })
  now('ferry_worker_count', 'Runs at work in processes of this server', server.atWork)
  now('ferry_event_listeners', 'Browsers and others that listen to live events', server.listeners)
  return {
    registry,
    request: ({ method, route, status }, seconds) =>
      requests.observe({ http_request_method: method, http_route: route, http_response_status_code: status }, seconds),
    fired: name => fired.inc({ kind: name.split(':')[0]! }),
  }
}
