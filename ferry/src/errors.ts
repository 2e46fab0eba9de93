/**
 * Every error that Ferry reports: one code a case, what it means and what to do. `docs/errors.md` is made
 * from this list, and a test holds the two together.
 *
 * 1xxx the job file and its words, 2xxx connections, 3xxx the plan, 4xxx the data, 5xxx runs and state,
 * 6xxx the server, 7xxx pipelines.
 */
export const ERRORS = {
  'FERRY-1001': ['The job file cannot be read', 'Check the path and that you may read the file.'],
  'FERRY-1002': ['The job file is not valid YAML or JSON', 'Mend the line that the message names.'],
  'FERRY-1003': [
    'A setting is unknown or wrong',
    'Mend what the message names; the job file is described in docs/job-file.md.',
  ],
  'FERRY-1004': ['A variable has no value', 'Set the environment variable, or name a variables file with --variables.'],
  'FERRY-1005': ['Two tables have one destination', 'Give each table a destination of its own with `to`.'],
  'FERRY-1006': [
    'A source or destination is not a locator',
    'Write scheme://host/database#object, a path, a glob, or -.',
  ],
  'FERRY-1007': [
    'There is no such job, run or connection',
    'See `ferry list`, `ferry runs` or `ferry connections list`.',
  ],
  'FERRY-1008': ['There is a job of this name already', 'Choose another name.'],
  'FERRY-1009': ['Other jobs need it', 'Edit these jobs first; a connection can be removed all the same (`force`).'],
  'FERRY-2001': ['The store cannot be reached', 'Check the address, or the path, that the message names.'],
  'FERRY-2002': ['The store refused the credentials', 'Check user and password of the connection.'],
  'FERRY-2003': ['A connection setting is missing or wrong', "See the connector's README for its settings."],
  'FERRY-2004': ['The store refused permission', 'Grant what the message names, or use another user.'],
  'FERRY-2005': ['The connection to the store was lost', 'Run the job again: it goes on where it stopped.'],
  'FERRY-2006': [
    'The server may not open this',
    'Use a folder or an address that the message allows, or start the server with --folder.',
  ],
  'FERRY-2007': [
    'The store answered with an error of its own',
    "The message is the store's: see its documentation, and its log.",
  ],
  'FERRY-2008': [
    'A connector cannot be loaded from its file',
    'The message says why. docs/writing-a-connector.md shows what a connector is.',
  ],
  'FERRY-3001': ['The source object does not exist', 'Check the name; the message lists the nearest ones.'],
  'FERRY-3002': ['A column does not exist', 'Check the mapping; the message lists the columns there are.'],
  'FERRY-3003': ['The destination cannot hold a column', 'Map the column to a type that fits, or leave it out.'],
  'FERRY-3004': [
    'The destination type is narrower than the source',
    'Widen the destination, or set `narrowing: check`.',
  ],
  'FERRY-3005': ['Merge has no keys', 'Name `keys`, or give the table a primary key.'],
  'FERRY-3006': ['The destination does not support this update method', 'Choose one that the message names.'],
  'FERRY-3007': ['The destination table does not exist', 'Create it, or set `create: ifMissing`.'],
  'FERRY-3008': ['No table matches', 'Check the patterns of `tables` and `exclude`.'],
  'FERRY-3009': ['This copy mode is not supported here', 'Use `mode: full`.'],
  'FERRY-3010': [
    'A required destination column gets no value',
    'Map a column to it, or give it a constant or default.',
  ],
  'FERRY-3011': [
    'The account is not set up for this copy',
    'Change the setting that the message names, or copy in another mode.',
  ],
  'FERRY-3012': ['Changes cannot be found like this', 'Name another column, or another way, as the message says.'],
  'FERRY-3013': ['The columns of a table changed', 'Set `drift: evolve`, or mend the mapping, then run the job again.'],
  'FERRY-3014': ['The source has no columns', 'Give it some, or leave it out of the job.'],
  'FERRY-3015': [
    'The destination cannot use a name',
    'Give the column or the table another name: `columns`, `casing` or `to`.',
  ],
  'FERRY-3016': [
    'The store refused a statement',
    'Mend the query, the filter or the statement that the message names.',
  ],
  'FERRY-3017': ['The source and the destination are in one place', 'Copy to another table or file, or by way of one.'],
  'FERRY-3018': ['The place holds what no copy has made', 'Copy into a folder of its own.'],
  'FERRY-4001': ['A value does not fit its destination', 'Mend the row, widen the column, or set `onRowError: skip`.'],
  'FERRY-4002': ['A file is not in the format it should be', 'Mend the line or the byte that the message names.'],
  'FERRY-4003': ['A file is not in the encoding it should be', 'Set `encoding`, for example `latin1`.'],
  'FERRY-4004': ['A file is damaged or cut off', 'Fetch the file again.'],
  'FERRY-4005': ['The destination refused a row', 'See the constraint in the message; mend the rows, then run again.'],
  'FERRY-4006': ['The disk or store is full', 'Free space, then run again: the job goes on where it stopped.'],
  'FERRY-4007': [
    'A file does not tell whether its first record names the columns',
    'Say it: `read: { header: true }` or `false` (ferry copy: --header yes or no).',
  ],
  'FERRY-4008': [
    'A value or a row is too large to be held in memory',
    'Leave the column out, or copy it by a query that takes it apart.',
  ],
  'FERRY-4009': [
    'A file uses something that cannot be read here',
    'Write the file again in the way that the message allows: for Parquet with snappy, zstd, gzip or no compression.',
  ],
  'FERRY-5001': ['The job is running already', 'Wait for it, or `ferry cancel RUN`.'],
  'FERRY-5002': ['The state was written by a newer Ferry', 'Use that version, or another FERRY_HOME.'],
  'FERRY-5003': ['The state cannot be opened', 'Check FERRY_HOME or FERRY_DATABASE_URL and its permissions.'],
  'FERRY-5004': ['The run was taken over by another process', 'Nothing to do: the other process goes on with it.'],
  'FERRY-5005': ['The source changed while the run was interrupted', 'Start again with --full-refresh.'],
  'FERRY-5006': ['The run is not in a state for this', 'See `ferry show RUN`.'],
  'FERRY-5007': ['The destination was changed by someone else during the run', 'Start again with --full-refresh.'],
  'FERRY-5008': ['Verification found differences', 'See the listed keys; run the job again or mend them.'],
  'FERRY-5009': [
    'The job was edited while a run of it is unfinished',
    'Finish it as it began: `ferry resume RUN`; or give it up: `ferry reset JOB`.',
  ],
  'FERRY-5010': [
    'The log of the source no longer reaches back to the last copy',
    'Copy everything again: `ferry reset JOB`, then run it.',
  ],
  'FERRY-5011': ['A secret cannot be opened', 'Set FERRY_KEY to the key that it was kept under, or give it again.'],
  'FERRY-5012': [
    'The process that executed the run died again and again',
    'Look into the log of the server; a smaller `limits.parallel` takes less memory.',
  ],
  'FERRY-5013': [
    'The state cannot be read or written',
    'Make room on its disk, or see what else works with it; then try again. Runs go on where they stopped.',
  ],
  'FERRY-5014': [
    'A run takes more memory than it may',
    'A smaller `limits.parallel` or `splitSize` takes less, and a column that is not needed can be left out; or allow more: docs/server.md. Then resume it.',
  ],
  'FERRY-5015': [
    'What was kept of an earlier copy cannot be read',
    'Where a newer Ferry has worked with this state, use that one; else reset the job: its next run copies everything.',
  ],
  'FERRY-6001': ['Nobody is signed in', 'Send the token: Authorization: Bearer TOKEN; or sign in in the browser.'],
  'FERRY-6002': ['The role does not allow this', 'Ask for a token with the role that the message names.'],
  'FERRY-6003': ['The request is not valid', 'Mend what the message names; the API is described at /docs.'],
  'FERRY-6004': ['There is no such address', 'The API is described at /docs.'],
  'FERRY-6005': ['Too many requests', 'Wait as long as Retry-After says.'],
  'FERRY-6006': ['The server cannot be reached', 'Start it: ferry serve; or check its address.'],
  'FERRY-6007': ['The server cannot listen there', 'Choose another address: --port 0 takes a port that is free.'],
  'FERRY-6008': ['Somebody else has changed it meanwhile', 'Load it again, and change what is there now.'],
  'FERRY-7001': ['An artifact cannot be read', 'Mend the file and the place that the message names.'],
  'FERRY-7002': ['An expression is not valid', 'Mend it at the position that the message names.'],
  'FERRY-7003': ['An expression has no value', 'See what the function got; the functions are those of Data Factory.'],
  'FERRY-7004': ['A parameter or a variable has no such value', 'Give it a value of its type, or mend its name.'],
  'FERRY-7005': ['A pipeline failed', 'See its activities; mend what the failed one names, and run again what failed.'],
  'FERRY-7006': [
    'An artifact cannot run here',
    'The message says what would help; a check of the factory lists all of its kind.',
  ],
  'FERRY-7007': ['An artifact refers to what is not there', 'Mend the name; the message has the nearest one.'],
  'FERRY-7008': ['A result is larger than an activity may have', 'Read less: fewer rows, or fewer columns.'],
  'FERRY-9000': ['Unexpected error', 'Please report it, with the output of `ferry show RUN --json`.'],
} as const

export type ErrorCode = keyof typeof ERRORS

/** Characters of a message, and of a hint: a name or a value in it may be of any length, and errors are stored and listed. */
const MOST_MESSAGE = 4000

function shortened(text: string): string {
  return text.length > MOST_MESSAGE ? `${text.slice(0, MOST_MESSAGE)}…` : text
}

/** What is wrong with one setting of what was given. */
export interface Fault {
  /** Its place: `tables.3.where`, or the name of a connection's setting; empty where it is the whole. */
  path: string
  message: string
}

/** An error meant for a user's eyes: it names the case, the place, and the next step; it never holds a secret. */
export class FerryError extends Error {
  readonly code: ErrorCode
  /** What to do, more exact than the code's own advice where the place is known. */
  readonly hint: string
  /** The error in the service's own code and words, for who knows these. */
  readonly service: { code: string; message: string } | undefined
  /** The settings that are wrong, where these are known: forms tell each beside its field. */
  readonly faults: Fault[]

  constructor(
    code: ErrorCode,
    message: string,
    options: { hint?: string; cause?: unknown; service?: { code: string; message: string }; faults?: Fault[] } = {},
  ) {
    super(shortened(message), options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'FerryError'
    this.code = code
    this.hint = shortened(options.hint ?? ERRORS[code][1])
    this.service = options.service
    this.faults = options.faults ?? []
  }
}

/** One row that cannot be copied: the engine stops or skips it, by the table's `onRowError`. */
export class RowError extends FerryError {
  readonly column: string | undefined
  /** Position of the row in the batch that was written, where the sink knows it. */
  index: number | undefined
  /** Whether the message names the object, and the row where that is known. */
  isPlaced = false

  constructor(code: ErrorCode, message: string, column?: string, options: { hint?: string; cause?: unknown } = {}) {
    super(code, message, options)
    this.name = 'RowError'
    this.column = column
  }
}

/** A fault in a line of a file; `path` and the number of lines before it are added by callers. */
export class LineError extends RowError {
  /** From 1, within what was read. */
  readonly line: number
  private readonly fault: string

  constructor(code: ErrorCode, line: number, fault: string, column?: string, options: { hint?: string } = {}) {
    super(code, `line ${line}${column === undefined ? '' : `, column ${column}`}: ${fault}`, column, options)
    this.line = line
    this.fault = fault
  }

  /** The same fault in a file, `before` lines further down. */
  in(path: string, before: number): RowError {
    const place = `${path}, line ${this.line + before}${this.column === undefined ? '' : `, column ${this.column}`}`
    return placed(new RowError(this.code, `${place}: ${this.fault}`, this.column, { hint: this.hint }))
  }
}

/** The source of a table has columns that the plan does not know. */
export class NewColumns extends FerryError {
  readonly columns: string[]

  constructor(table: string, columns: string[], options: { hint?: string } = {}) {
    super('FERRY-3013', `${table}: the source has new columns: ${columns.join(', ')}`, options)
    this.columns = columns
  }
}

/** What helps where a row of an append is there already. */
export const TAKEN_HINT =
  'A row of this key is there: `update: merge` (`--update merge`) writes over it, `overwrite` replaces all rows.'

/** The error, whose message names the object already. */
export function placed(error: RowError): RowError {
  error.isPlaced = true
  return error
}

/** What Node and V8 say where a text or a buffer would be longer than they can be. */
const TOO_LARGE = new Set(['ERR_STRING_TOO_LONG', 'ERR_BUFFER_TOO_LARGE', 'ERR_BUFFER_OUT_OF_BOUNDS'])

function isTooLarge(error: unknown): boolean {
  if (TOO_LARGE.has((error as NodeJS.ErrnoException)?.code ?? '')) return true
  return (
    error instanceof RangeError &&
    /Invalid string length|Array buffer allocation failed|Maximum call stack/.test(error.message)
  )
}

/** The error as a FerryError: what is not one already becomes FERRY-9000 with the original as its cause. */
export function asFerryError(error: unknown): FerryError {
  if (error instanceof FerryError) return error
  if (isTooLarge(error)) return new FerryError('FERRY-4008', (error as Error).message, { cause: error })
  const message = error instanceof Error ? error.message : String(error)
  return new FerryError('FERRY-9000', message, { cause: error })
}

/** The known word nearest to a mistyped one, when it is near enough to be meant. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** `: did you mean WORD?` for the end of a message about a mistyped word; empty if no known word is near. */
export function didYouMean(word: string, known: Iterable<string>): string {
  const near = nearest(word, known)
  return near ? `: did you mean ${near}?` : ''
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(substitution, previous[j]! + 1, row[j - 1]! + 1))
    }
    previous = row
  }
  return previous[b.length]!
}
