import type { RunState } from '../engine/progress.ts'
/** The state's tables. Times are ISO 8601 texts in UTC, counts are whole numbers, booleans 0 and 1. */
export interface Schema {
  job: JobRow
  run: RunRow
  attempt: AttemptRow
  run_table: RunTableRow
  split: SplitRow
  skipped: SkippedLine
  connection: ConnectionRow
  queue: QueueRow
  position: PositionRow
  table_total: TableTotalRow
  firing: FiringRow
  arrival: ArrivalRow
  secret: SecretRow
  token: TokenRow
  session: SessionRow
  audit: AuditRow
  pipeline_run: PipelineRunRow
  activity_run: ActivityRunRow
  pipeline_trigger: PipelineTriggerRow
  pipeline_window: PipelineWindowRow
  factory: FactoryRow
  callback: CallbackRow
}

/** A factory of Data Factory whose pipelines servers execute. */
export interface FactoryRow {
  name: string
  /** Where its artifacts are and what is redirected, as JSON. */
  source: string
  added_at: string
}

/** A call that an activity of a run waits for. Who knows its id may answer it. */
export interface CallbackRow {
  id: string
  run: string
  key: string
  attempt: number
  /** 1 if the other side was asked. */
  called: number
  /** What was sent; null until then. */
  body: string | null
}

/** A run of a pipeline of a factory. */
export interface PipelineRunRow {
  id: string
  factory: string
  pipeline: string
  /** Names the artifacts as they were when it began: only with the same can it be resumed. */
  fingerprint: string
  /** As JSON; with secrets only in sealed form. */
  parameters: string
  /** What it was started by, as JSON. */
  info: string
  state: 'Queued' | 'InProgress' | 'Succeeded' | 'Failed' | 'Cancelled'
  wish: 'cancel' | null
  /** The run and the activity that have started it. */
  parent_run: string | null
  parent_key: string | null
  group_id: string
  rerun_of: string | null
  epoch: number
  owner_host: string | null
  owner_pid: number | null
  owner_started: string | null
  heartbeat_at: number | null
  created_at: string
  ended_at: string | null
  error: string | null
  return_value: string | null
  /** 1 if whoever watches the factory executes it; else the command that began it does. */
  watched: number
  /** How many of its processes have died with it. */
  deaths: number
}

/** A trigger of a factory that was started. */
export interface PipelineTriggerRow {
  factory: string
  name: string
  /** 1: it fires. */
  started: number
  /** What the trigger said then: an edited one begins anew. */
  fingerprint: string
  /** Up to when its times are dealt with, in milliseconds since 1970. */
  at: number
  /** What came of it last, for people. */
  outcome: string | null
  outcome_at: string | null
}

/** A window of a tumbling window trigger; times in milliseconds since 1970. */
export interface PipelineWindowRow {
  factory: string
  trigger: string
  start_at: number
  end_at: number
  state: 'Waiting' | 'Running' | 'Succeeded' | 'Failed' | 'Cancelled'
  run: string | null
  attempts: number
  /** Not before this it is tried again. */
  retry_at: number | null
}

/** One activity of a run of a pipeline. */
export interface ActivityRunRow {
  run: string
  /** Its path in the run: `ForEach1/3/Copy1`. */
  key: string
  /** Grows in the order of the ends. */
  seq: number
  name: string
  type: string
  state: 'InProgress' | 'Succeeded' | 'Failed' | 'Skipped' | 'Cancelled'
  attempt: number
  /** Milliseconds since 1970. */
  started_at: number
  ended_at: number | null
  input: string | null
  output: string | null
  error: string | null
  /** What was decided when it began. */
  decision: string | null
  /** The change of a variable. */
  effect: string | null
  /** The run of the copy. */
  copy: string | null
  /** 1: input and output are sealed. */
  secure: number
  user_properties: string | null
}

/** What a table of a job has come to in all runs that have ended. */
export interface TableTotalRow {
  job: string
  source: string
  destination: string
  runs: number
  failures: number
  rows_read: number
  rows_copied: number
  rows_skipped: number
  bytes_read: number
  bytes_written: number
  last_run: string
  last_at: string
}

/** Up to when the times of a schedule, or the events of a trigger, are dealt with. */
export interface FiringRow {
  job: string
  /** `schedule:NAME` or `trigger:NAME`. */
  name: string
  /** What the schedule or trigger said then: an edited one begins anew. */
  print: string
  /** Milliseconds since 1970. */
  at: number
  /** What came of it last, for people; null where nothing has yet. */
  outcome: string | null
  outcome_at: string | null
}

/** A file that a trigger has seen. */
export interface ArrivalRow {
  job: string
  name: string
  path: string
  /** Size and time of change, and since when they are so (milliseconds). */
  print: string
  since: number
  fired: number
}

/** A secret of a connection: AES-256-GCM under the key of the installation. */
export interface SecretRow {
  name: string
  sealed: string
  updated_at: string
}

export type Role = 'viewer' | 'operator' | 'admin'

export interface TokenRow {
  id: string
  name: string
  role: Role
  /** SHA-256 of the token, as hex. */
  hash: string
  created_at: string
  last_used_at: string | null
}

export interface SessionRow {
  hash: string
  token: string
  expires_at: number
  /** When it was used last, about: milliseconds since 1970 by the database's clock. */
  used_at: number
}

export interface AuditRow {
  id: number
  at: string
  who: string
  role: string
  address: string
  action: string
  object: string
  outcome: string
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
  /** 1 for a copy of the command line, which lists of jobs leave out, and which is deleted with its last run. */
  one_off: number
}

export type { RunState }

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
  /** Milliseconds since 1970, by the database's clock, of the owner's last sign of life, and of its taking the run. */
  heartbeat_at: number | null
  taken_at: number | null
  /** How many processes in a row have died executing the run. */
  deaths: number
  /** Milliseconds at work, of the attempts that have ended. */
  worked_ms: number
  /** 1 for a run that has failed and is not resumed. */
  given_up: number
  /** The copy mode of its definition. */
  mode: 'full' | 'incremental' | 'online'
  created_at: string
  started_at: string | null
  ended_at: string | null
  /** { code, message, hint } as JSON. */
  error: string | null
  /** Who or what asked for it: `manual`, `schedule:NAME`, `trigger:NAME`. */
  invoked_by: string
  /** { fresh, only } as JSON, of a run that was asked for and has not begun. */
  asked: string | null
  /** Milliseconds since 1970, by the database's clock, of the last change of this line: watchers ask for newer ones. */
  changed_at: number
  /** Sums over the tables, and how many of these have ended. */
  rows_read: number
  rows_copied: number
  rows_skipped: number
  bytes_read: number
  bytes_written: number
  tables: number
  tables_done: number
  /** [seconds, rows, bytes][] as JSON: how far the run was, at some moments. */
  samples: string | null
}

/** The tables whose rows belong to a run, and go with it. */
export const PARTS_OF_RUN = ['split', 'skipped', 'run_table', 'attempt'] as const

/** A process's work at a run, from its taking it to its end. */
export interface AttemptRow {
  run: string
  /** The run's epoch that it had. */
  epoch: number
  host: string
  started_at: string
  /** Null while it is at work. One that died ended, as far as is known, with its last sign of life. */
  ended_at: string | null
  outcome: RunState | 'died' | null
  /** { code, message, hint } as JSON. */
  error: string | null
}

export interface RunTableRow {
  run: string
  ordinal: number
  source: string
  destination: string
  state: RunState
  /** The table's plan as JSON: a resumed run uses it again. */
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
  /** How rows travel; null in runs of older versions. */
  encoding: string | null
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

/** A row that a run has skipped. */
export interface SkippedLine {
  run: string
  ordinal: number
  /** The number of the split's row. */
  split: number
  /** Names the checkpoint that the row was skipped after. */
  mark: string
  /** 0, 1, 2 ... within what was skipped since the checkpoint. */
  seq: number
  /** The row as JSON. */
  line: string
}

export interface ConnectionRow {
  name: string
  kind: string
  /** Settings as JSON; secrets only as `${NAME}`. */
  settings: string
  created_at: string
}
