/** The state's tables. Times are ISO 8601 texts in UTC, counts are whole numbers, booleans 0 and 1. */
export interface Schema {
  job: JobRow
  run: RunRow
  run_table: RunTableRow
  split: SplitRow
  connection: ConnectionRow
  queue: QueueRow
  position: PositionRow
}

/** How far the incremental copies of a table are. Moves with the success of a run only. */
export interface PositionRow {
  job: string
  /** The table's source and destination objects. */
  source: string
  destination: string
  /** What the position depends on, as JSON: an edit of it makes the next copy begin again. */
  tracked: string
  /** Opaque outside the source's connector. */
  value: string
  /** The run that reached it. */
  run: string
  updated_at: string
}

/** Runs of one queue are at work one after another, or so many at a time. */
export interface QueueRow {
  name: string
}

export interface JobRow {
  name: string
  /** The job as JSON, variables not put in, passwords taken out. */
  definition: string
  created_at: string
  updated_at: string
}

export type RunState =
  | 'pending'
  | 'planning'
  | 'running'
  | 'paused'
  | 'completing'
  | 'completed'
  | 'failed'
  | 'cancelled'

export type Wish = 'pause' | 'cancel' | 'complete'

export interface RunRow {
  id: string
  job: string
  definition: string
  /** The queue that it waits in; null of runs that begin at once. */
  queue: string | null
  state: RunState
  /** What a user asked for: seen by whichever process executes the run. */
  wish: Wish | null
  /** Why nothing moves, where a store makes the run wait. */
  waiting: string | null
  /** Raised each time a process takes the run: a write with an older one is refused. */
  epoch: number
  /** Who executes the run: host, process id and when that process started. */
  owner_host: string | null
  owner_pid: number | null
  owner_started: string | null
  /** Milliseconds since 1970 of the owner's last sign of life. */
  heartbeat_at: number | null
  created_at: string
  started_at: string | null
  ended_at: string | null
  /** { code, message, hint } as JSON. */
  error: string | null
}

export interface RunTableRow {
  run: string
  ordinal: number
  source: string
  destination: string
  state: RunState
  /** The table's plan as JSON: a resumed run goes on with it. */
  plan: string
  rows_read: number
  rows_copied: number
  rows_skipped: number
  bytes_read: number
  bytes_written: number
  /** What the source is estimated to hold. */
  total_rows: number | null
  started_at: string | null
  ended_at: string | null
  error: string | null
}

export interface SplitRow {
  run: string
  ordinal: number
  id: number
  label: string
  spec: string
  rows: number | null
  bytes: number | null
  done: number
  checkpoint: string | null
  rows_done: number
  bytes_done: number
  /** Of an online copy: changes that are left, about, and when the last one that was copied happened (milliseconds). */
  behind: number | null
  behind_since: number | null
}

export interface ConnectionRow {
  name: string
  kind: string
  /** Settings as JSON; secrets only as `${NAME}`. */
  settings: string
  created_at: string
}
