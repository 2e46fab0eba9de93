/** The command line. Each command is a file of its own, loaded when it is called. */

import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import manifest from '../../package.json' with { type: 'json' }
import { parseSize } from '../size.ts'
import { EXAMPLES } from './examples.ts'
import { EXIT, fail } from './output.ts'

const program = new Command('ferry')
  .description('Copy jobs between databases, documents and files: exact, resumable, fast.')
  .version(manifest.version)
  .option('--json', 'print JSON, for scripts', false)
  .option('--home <folder>', 'folder of the state (default: FERRY_HOME, else ~/.ferry)')
  .option(
    '--connector <file>',
    'load a connector from a file, several with several',
    (path: string, before: string[] = []) => [...before, path],
  )
  .showSuggestionAfterError()
  .exitOverride()
  .hook('preAction', async command => {
    const { home, connector = [] } = command.opts<{ home?: string; connector?: string[] }>()
    if (home !== undefined) process.env.FERRY_HOME = home
    if (connector.length === 0 && process.env.FERRY_CONNECTORS === undefined) return
    const { addConnectorFiles, loadConnectorFiles } = await import('../connectors/registry.ts')
    addConnectorFiles(connector)
    await loadConnectorFiles()
  })

// Whoever reads what is printed may have seen enough: `ferry plan JOB | head`.
process.stdout.on('error', error => {
  if ((error as NodeJS.ErrnoException).code === 'EPIPE') process.exit(process.exitCode ?? 0)
  throw error
})
// The reader of progress and errors has gone: the copy continues.
process.stderr.on('error', error => {
  if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error
})

const list = (value: string, before: string[] = []) => [...before, value]
const integer = (value: string) => {
  if (/^\d{1,15}$/.test(value)) return Number(value)
  throw new InvalidArgumentError('A whole number.')
}
const count = (value: string) => {
  if (Number(value) >= 1 && Number(value) <= 100_000) return integer(value)
  throw new InvalidArgumentError('A whole number from 1 to 100000.')
}
const address = (value: string) => {
  if (/^https?:$/.test(URL.parse(value)?.protocol ?? '')) return value
  throw new InvalidArgumentError('An address such as https://ferry.example.com.')
}
const names = (value: string, before: string[] = []) => {
  if (/^[A-Za-z_]\w*$/.test(value)) return [...before, value]
  throw new InvalidArgumentError('The name of a variable.')
}
/** A process of Node takes so much before it does anything. */
const LEAST_MEMORY = 40_000_000
const memory = (value: string) => {
  if (size(value) >= LEAST_MEMORY) return size(value)
  throw new InvalidArgumentError('At least 40MB.')
}
const size = (value: string) => {
  const bytes = parseSize(value)
  if (bytes) return bytes
  throw new InvalidArgumentError('A size such as 4GB.')
}
const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent']
const FORMATS = ['csv', 'tsv', 'jsonl', 'json', 'parquet', 'binary']
const choice = (flags: string, description: string, choices: string[]) =>
  new Option(flags, `${description}: ${choices.join(', ')}`).choices(choices)
/** A choice that is taken in any case, as `az` takes it. */
const anyCase = (option: Option) => {
  const { argChoices } = option
  return option.argParser(value => {
    const found = argChoices!.find(c => c.toLowerCase() === value.toLowerCase())
    if (found) return found
    throw new InvalidArgumentError(`Allowed choices are ${argChoices!.join(', ')}.`)
  })
}
const words = (value: string) => value.split(',')
const yesOrNo = (value: string) => {
  if (/^(yes|true)$/i.test(value)) return true
  if (/^(no|false)$/i.test(value)) return false
  throw new InvalidArgumentError('yes or no.')
}

type Action = { default: (args: string[], options: never) => Promise<void> }

/** `cosmos copy show`: the words that call a command. */
function pathOf(command: Command): string {
  const { parent } = command
  return parent?.parent ? `${pathOf(parent)} ${command.name()}` : command.name()
}

/** Adds a command whose file is loaded when it is called; `--json` may come before or after its name. */
function add(words: string, description: string, load: () => Promise<Action>, parent: Command = program): Command {
  const command = parent.command(words).description(description)
  const example = EXAMPLES[pathOf(command)]
  if (example) command.addHelpText('after', `\nExample:\n  ${example}`)
  return command.option('--json', 'print JSON, for scripts').action(async (...args: unknown[]) => {
    const command = args.at(-1) as Command
    const options = {
      ...command.opts(),
      json: command.optsWithGlobals().json === true || program.opts().json === true,
    }
    const { default: run } = await load()
    await run(command.args, options as never)
  })
}

const withVariables = (command: Command) =>
  command
    .option('--variables <file>', 'file of values for ${NAME}')
    .option('--set <NAME=value>', 'one such value; may be repeated', list)

withVariables(add('copy <source> <destination>', 'copy once, without a job file', () => import('./copy.ts')))
  .option('--table <name>', 'source table or pattern; may be repeated', list)
  .option('--query <sql>', 'a query as the source')
  .addOption(choice('--update <method>', 'how rows are written', ['append', 'overwrite', 'merge']))
  .option('--key <column>', 'merge key; may be repeated', list)
  .option('--where <filter>', "filter in the source's language")
  .option('--limit <rows>', 'at most so many rows', integer)
  .option('--truncate', 'empty the destination first')
  .addOption(choice('--format <format>', 'format of source files', FORMATS))
  .option('--header <yes|no>', 'CSV: whether the first record names the columns', yesOrNo)
  .option('--delimiter <character>', 'CSV: what stands between fields; \\t for a tab')
  .option('--encoding <name>', 'character encoding of source files, for example latin1')
  .option('--names <a,b,...>', 'CSV: names of the columns', words)
  .option('--type <column=type>', 'type of a source column, for example zip=utf8; may be repeated', list)
  .addOption(
    choice('--nanoseconds <what>', 'Parquet: instants in nanoseconds, which are read to microseconds', [
      'refuse',
      'cut',
    ]),
  )
  .option('--null-text <text>', 'CSV: unquoted text that stands for null')
  .addOption(choice('--drift <what>', 'columns that the plan does not know', ['freeze', 'evolve', 'ignore']))
  .addOption(choice('--to-format <format>', 'format of destination files', FORMATS))
  .addOption(choice('--casing <casing>', 'column names', ['asIs', 'lower', 'upper', 'snake']))
  .addOption(choice('--on-row-error <what>', 'what a row that does not fit does', ['fail', 'skip']))
  .addOption(choice('--narrowing <what>', 'values into a narrower type', ['refuse', 'check']))
  .option('--parallel <splits>', 'splits at work at one time', integer)
  .option('--bytes-per-second <size>', 'limit, for example 20MB')
  .option('--rows-per-second <rows>', 'limit', integer)
  .option('--full-refresh', 'give up an unfinished run and copy everything anew')
  .option('--quiet', 'no progress')
withVariables(add('run <job>', 'run a job file in the foreground; an unfinished run goes on', () => import('./run.ts')))
  .option('--full-refresh', 'give up an unfinished run and copy everything anew')
  .option('--table <name>', 'only this table; may be repeated', list)
  .option('--quiet', 'no progress')
withVariables(add('plan <job>', 'show what a run would do; nothing is changed', () => import('./plan.ts')))
withVariables(add('verify <job>', 'compare both sides: counts, checksums, differing keys', () => import('./verify.ts')))
  .option('--table <name>', 'only this table; may be repeated', list)
  .option('--most <keys>', 'list at most so many differing keys', count, 20)
add('list', 'jobs and their newest run', () => import('./list.ts')).option('--all', 'those of `ferry copy` too')
add('runs [job]', 'runs, newest first', () => import('./runs.ts')).option('--most <runs>', 'at most so many', count, 20)
add('show <run>', 'one run by its id, or the newest of a job', () => import('./show.ts'))
add('pause <run>', 'stop a run so that it can go on later', async () => ({
  default: (await import('./control.ts')).pause,
}))
add('cancel <run>', 'stop a run for good and remove what it has not published', async () => ({
  default: (await import('./control.ts')).cancel,
}))
add('complete <run>', 'end an online copy with what its source holds now', async () => ({
  default: (await import('./control.ts')).complete,
}))
withVariables(
  add('resume <run>', 'go on with a paused or failed run: at the server, else in the foreground', async () => ({
    default: (await import('./control.ts')).resume,
  })),
)
withVariables(
  add('reset <job>', "give up a job's unfinished run; the next one copies everything again", async () => ({
    default: (await import('./control.ts')).reset,
  })),
).option('--table <name>', 'only this table copies everything again; may be repeated', list)
withVariables(
  add('create <job>', 'keep a job file, for schedules and for the server', () => import('./create.ts')),
).option('--replace', 'in place of the one of its name')
withVariables(
  add(
    'delete <job>',
    'remove a job that is kept, with its history; what it has copied stays',
    () => import('./delete.ts'),
  ),
).option('--force', 'also where its source cannot be told to forget what it keeps for it, or an unfinished run is left')
add('start <job>', 'have the server run a job that is kept', () => import('./start.ts'))
  .option('--full-refresh', 'copy everything anew')
  .option('--table <name>', 'only this table; may be repeated', list)
  .option('--wait', 'wait until the run has ended')
add('skipped <run>', 'print the skipped rows of a run, one line of JSON each', () => import('./skipped.ts')).option(
  '--table <name>',
  'only this table; may be repeated',
  list,
)
withVariables(add('retry <run>', 'copy the skipped rows of a run again', () => import('./retry.ts'))).option(
  '--rows <file>',
  'lines of `ferry skipped` with corrected values, which take the places of the skipped rows first',
)
withVariables(
  add(
    'connections [action] [name] [locator]',
    'named connections: add, list, test, remove',
    () => import('./connections.ts'),
  ),
)

add('serve', 'the server: web UI, API, schedules, triggers; executes what is asked for', () => import('./serve.ts'))
  .option('--host <address>', 'address to listen at', '127.0.0.1')
  .option('--port <port>', 'port to listen at; 0 takes one that is free', integer, 7070)
  .option('--folder <path>', 'folder that file connections may use; may be repeated (default: the current one)', list)
  .option(
    '--variable <name>',
    'a variable that jobs and connections may take from its environment; may be repeated',
    names,
  )
  .option('--allowed-host <name>', 'another name that the server answers to; may be repeated', list)
  .option('--public-url <url>', 'where browsers come in, behind a proxy', address)
  .option('--most <runs>', 'runs at work at one time; 0 leaves them to `ferry worker`', integer, 10)
  .option('--run-memory <size>', 'memory that the process of a run may have (default: half of what there is)', memory)
  .option('--keep-days <days>', 'how long ended runs and the audit are kept', count, 90)
  .addOption(choice('--log-level <level>', 'what is told', LOG_LEVELS).default('info'))
add('worker', 'executes runs that wait, without a server', () => import('./worker.ts'))
  .option('--once', 'one run, or none where none waits')
  .option('--folder <path>', 'folder that file connections may use; may be repeated (default: the current one)', list)
  .option(
    '--variable <name>',
    'a variable that jobs and connections may take from its environment; may be repeated',
    names,
  )
  .option('--most <runs>', 'runs at work at one time, everywhere', count, 10)
  .addOption(choice('--log-level <level>', 'what is told', LOG_LEVELS).default('info'))
// Looks into stores for a server that starts it.
program.command('scout', { hidden: true }).action(async () => (await import('./scout.ts')).default())
// Executes the copies of a pipeline.
program
  .command('factory-worker <name>', { hidden: true })
  .requiredOption('--callbacks <url>')
  .requiredOption('--copy-memory <bytes>')
  .option('--log-level <level>', '', 'info')
  .action(async (name, options) => (await import('./factoryworker.ts')).default([name], options))
program.command('copier', { hidden: true }).action(async () => (await import('./copier.ts')).default())
add('doctor', 'looks for what keeps Ferry from working here', () => import('./doctor.ts'))
add('tokens [action] [name]', 'who may call the server: add, list, remove', () => import('./tokens.ts')).addOption(
  choice('--role <role>', 'what it may do', ['viewer', 'operator', 'admin']).default('viewer'),
)

const copyJobs = program
  .command('cosmos')
  .description('Azure Cosmos DB')
  .command('copy')
  .description('copy jobs of an account, with the words of `az cosmosdb copy`; an account is a named connection')

type CopyVerb = keyof typeof import('./cosmos.ts')

function addCopy(verb: CopyVerb, description: string): Command {
  const load = async () => ({ default: (await import('./cosmos.ts'))[verb] as Action['default'] })
  const command = add(verb, description, load, copyJobs)
  return command
    .addOption(choice('-o, --output <format>', 'json or table', ['json', 'table']).default('json'))
    .option('-g, --resource-group <name>', 'kept in the answers; nothing depends on it')
    .option('--subscription <name>', 'taken and not used')
}

const ofAccount = (command: Command) =>
  command.requiredOption('-a, --account-name <connection>', 'the destination account')
const ofJob = (command: Command) => ofAccount(command).requiredOption('--job-name <name>', 'name of the copy job')
const waiting = (command: Command) => command.option('--wait', 'wait until the job has ended')

waiting(withVariables(addCopy('create', 'check and create a copy job; it starts at once, in the background')))
  .requiredOption('--job-name <name>', 'unique in the account')
  .requiredOption('--dest-account <connection>', 'the destination account')
  .option('--src-account <connection>', 'the source account, where it is another one')
  .option('--src-nosql <pairs...>', 'database=D container=C; repeated for more, * and ? match many')
  .option('--dest-nosql <pairs...>', 'database=D container=C; {database} and {container} stand for the source')
  .option('--src-mongo <pairs...>', 'not there yet')
  .option('--dest-mongo <pairs...>', 'not there yet')
  .option('--src-cassandra <pairs...>', 'not there yet')
  .option('--dest-cassandra <pairs...>', 'not there yet')
  .addOption(anyCase(choice('--mode <mode>', 'how', ['Offline', 'Online']).default('Offline')))
  .option('--create-targets', 'make targets that are missing, defined as their sources are')
  .option('--partition-key <paths...>', "of each target that is made; its source's where omitted")
  .option('--throughput <RU/s>', 'of each target that is made', integer)
  .option('--read-throughput-budget <RU/s>', 'that reading may take; found out where omitted', integer)
  .option('--write-throughput-budget <RU/s>', 'that writing may take; found out where omitted', integer)
  .addOption(anyCase(choice('--priority <level>', 'Low yields to the application', ['High', 'Low'])))
  .option('--throughput-bucket <number>', 'the bucket that the copy takes from, 1 to 5', integer)
  .option('--no-start', 'only create it; `work` executes it')
ofAccount(addCopy('list', 'all copy jobs of an account'))
waiting(ofJob(addCopy('show', 'one copy job: status, progress, how far behind, why it waits')))
withVariables(ofJob(addCopy('pause', 'pause a copy job')))
waiting(withVariables(ofJob(addCopy('resume', 'let a paused or failed copy job go on')))).option(
  '--no-start',
  'only put it back into the queue',
)
withVariables(ofJob(addCopy('cancel', 'cancel a copy job')))
waiting(withVariables(ofJob(addCopy('complete', 'end an online copy with what its source holds now'))))
withVariables(ofJob(addCopy('retry', 'write the documents again that could not be written')))
withVariables(ofJob(addCopy('verify', 'compare source and destination document by document')))
withVariables(ofAccount(addCopy('work', "execute the account's copy jobs here, one after another")))

const adf = program.command('adf').description('artifacts of Azure Data Factory: checked, and run as they are')

const ADF = {
  artifacts: () => import('./adf.ts'),
  runs: () => import('./adfruns.ts'),
  triggers: () => import('./adftriggers.ts'),
  flow: () => import('./adfflow.ts'),
}

/** Adds a command of `ferry adf`: its first word is the function of its file. */
const addAdf = (words: string, description: string, of: keyof typeof ADF = 'artifacts', parent = adf) => {
  const verb = words.split(' ')[0]!
  const load = async () => ({ default: ((await ADF[of]()) as unknown as Record<string, Action['default']>)[verb]! })
  return add(words, description, load, parent)
}
const ofFactory = (command: Command) =>
  withVariables(command)
    .option('--parameters <file>', 'values for the parameters of a template; may be repeated', list)
    .option('--redirect <file>', 'where linked services lead instead')
    .option('--runtime <NAME=local>', 'an integration runtime whose work this machine does; may be repeated', list)

ofFactory(addAdf('check <factory>', 'list what runs here, what does not, and why')).option('--all', 'also what runs')
ofFactory(addAdf('run', 'run a pipeline in the foreground; an unfinished run goes on'))
  .requiredOption('--factory <folder or template>', 'its folder in git, or an exported template')
  .requiredOption('--pipeline <name>', 'the pipeline')
  .option('--parameter <name=value>', 'a parameter of the pipeline; may be repeated', list)
  .option('--new', 'begin a new run even if one is unfinished')
  .option('--quiet', 'no progress')
addAdf('list', 'runs of pipelines, newest first', 'runs')
  .option('--pipeline <name>', 'only of this pipeline')
  .option('--most <runs>', 'at most so many', count, 20)
addAdf('show <run>', 'one run: its activities, with what they got and gave', 'runs')
withVariables(addAdf('cancel <run>', 'end a run and its copies for good'))
withVariables(addAdf('resume <run>', 'go on with a run that was left')).option('--quiet', 'no progress')
withVariables(addAdf('rerun <run>', 'run again what failed, and what comes behind it'))
  .option('--from <activity>', 'begin with this activity')
  .option('--quiet', 'no progress')
const withFactory = (command: Command) =>
  ofFactory(command).requiredOption('--factory <folder or template>', 'its folder in git, or an exported template')
withFactory(addAdf('triggers', 'triggers of a factory: which are started, and what came of them', 'triggers'))
withFactory(addAdf('start <trigger>', 'start a trigger; `ferry adf watch` fires it', 'triggers'))
withFactory(
  addAdf('stop <trigger>', 'stop a trigger; a tumbling window trigger goes on there when started again', 'triggers'),
)
withFactory(
  addAdf('watch', 'fire the triggers that are started, and execute their runs, until it is ended', 'triggers'),
)
withFactory(addAdf('convert', 'print the job of a Copy activity'))
  .requiredOption('--pipeline <name>', 'the pipeline')
  .requiredOption('--activity <name>', 'the Copy activity')
  .option('--parameter <name=value>', 'a parameter of the pipeline; may be repeated', list)

const flow = adf.command('flow').description('data flows of a factory, looked at without being run')
const ofFlow = (words: string, description: string) =>
  withFactory(addAdf(words, description, 'flow', flow))
    .option('--parameter <name=value>', 'a parameter of the flow, or STREAM.NAME of a dataset; may be repeated', list)
    .option('--sample <rows>', 'so many rows are read of each source where they are needed', count, 1000)
ofFlow('show <dataflow>', 'its streams, with the columns that each of them gives')
ofFlow('explain <dataflow>', 'the SQL of each stream')
ofFlow('preview <dataflow>', 'the first rows of a stream')
  .requiredOption('--stream <name>', 'the stream: `name`, or `split@branch`')
  .option('--rows <rows>', 'at most so many', count, 100)

/** How the command that was called is called. */
function usageOf(given: string[]): string {
  let command = program
  for (const word of given) command = command.commands.find(c => c.name() === word) ?? command
  const path = pathOf(command)
  const example = EXAMPLES[path]
  return `Usage: ferry ${path} ${command.usage()}\n${example ? `Example: ${example}\n` : ''}`
}

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has printed what is wrong, or the help that was asked for.
    if (/missing/i.test(error.code)) process.stderr.write(usageOf(process.argv.slice(2)))
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage
  } else fail(error, process.argv.includes('--json'))
}
