/**
 * The public tests of azure-cosmos for Python, as its package brings them, against the command line. Ends with 1 where
 * fewer than 95 of 100 pass. Arguments go to pytest: `npm run test:python-suite -- -k test_session`.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { startCommand } from './account.ts'
import { cacheFolder, run, runWell } from './programs.ts'
import { pythonWith } from './python.ts'
import { LEFT_OUT } from './python-left-out.ts'

const PACKAGE = 'azure-cosmos==4.17.1'
/** Marks of the tests that need one account of one region: not those of live accounts in several, nor of search. */
const MARKS = 'cosmosEmulator or cosmosLong or cosmosQuery or cosmosSplit'
/** The emulator's address in the tests: they treat the account there as one that takes keys and has no other regions. */
const EMULATOR = 'https://localhost:8081/'
const LEAST = 0.95
/** One of theirs sleeps for exactly a minute. */
const SECONDS_A_TEST = 120
/** Tests expect that no answer comes at once: they give it a picosecond, and the client looks once whether it is there. */
const LATENCY_MS = 5
/** Most tests wait more than they work. */
const AT_ONCE = 4
/** How pytest ends a session that ran to its end: all passed, some failed, or none was chosen. */
const COMPLETE = [0, 1, 5]

const support = join(import.meta.dirname, 'python')
const python = await pythonWith('python-suite', join(support, 'suite-requirements.txt'))
const tests = await fetchTests()
const account = await startCommand('--continuous-backup', '--latency', String(LATENCY_MS))
try {
  const config = join(tests, 'test_config.py')
  const written = readFileSync(config, 'utf8')
  if (!written.includes(EMULATOR)) throw new Error(`${config} does not name ${EMULATOR}`)
  writeFileSync(config, written.replaceAll(EMULATOR, account.endpoint))
  const env = {
    ACCOUNT_HOST: account.endpoint,
    ACCOUNT_KEY: account.key,
    PYTHONPATH: support,
    PYTHONWARNINGS: 'ignore',
    REQUESTS_CA_BUNDLE: account.certificate,
    SSL_CERT_FILE: account.certificate,
  }
  writeFileSync(join(tests, 'left-out.txt'), LEFT_OUT.flatMap(l => l.tests ?? []).join('\n'))
  // Shares of the files, each with a database of its own.
  const shares = Array.from({ length: AT_ONCE }, (_, i) => filesOf(tests).filter((_, n) => n % AT_ONCE === i))
  const reports = await Promise.all(
    shares.map(async (files, i) => {
      const report = join(tests, `report-${i}.xml`)
      const { status } = await run(python, ['-m', 'pytest', ...optionsOf(report), ...process.argv.slice(2), ...files], {
        cwd: tests,
        env,
      })
      if (!COMPLETE.includes(status ?? -1)) throw new Error(`pytest did not come to its end: ${status}`)
      return readFileSync(report, 'utf8')
    }),
  )
  conclude(reports)
} finally {
  await account.stop()
}

/** The folder of the tests, fresh from the package's sources. */
async function fetchTests(): Promise<string> {
  const folder = cacheFolder('python-suite-sources')
  const isSource = (name: string) => name.endsWith('.tar.gz')
  if (!readdirSync(folder).some(isSource)) {
    const what = ['--no-deps', '--no-binary', ':all:', '--dest', folder, PACKAGE]
    await runWell(python, ['-m', 'pip', 'download', '--quiet', ...what])
  }
  const archive = readdirSync(folder).find(isSource)!
  const unpacked = join(folder, 'unpacked')
  rmSync(unpacked, { recursive: true, force: true })
  mkdirSync(unpacked)
  await runWell('tar', ['-xzf', join(folder, archive), '-C', unpacked])
  return join(unpacked, basename(archive, '.tar.gz'), 'tests')
}

/** The files with tests, less those that are left out. */
function filesOf(folder: string): string[] {
  const leftOut = new Set(LEFT_OUT.flatMap(l => l.files ?? []))
  const all = [...readdirSync(folder), ...readdirSync(join(folder, 'routing')).map(name => `routing/${name}`)]
  return all.filter(name => /(^|\/)test_\w+\.py$/.test(name) && name !== 'test_config.py' && !leftOut.has(name)).sort()
}

function optionsOf(report: string): string[] {
  return [
    ...['-p', 'suite_support', '-p', 'no:cacheprovider', '-m', MARKS, '-q', '--tb=line', '--show-capture=no'],
    ...['--timeout', String(SECONDS_A_TEST), `--junit-xml=${report}`],
  ]
}

interface Outcome {
  name: string
  result: 'passed' | 'failed' | 'skipped'
  /** Whether the test sent requests, and is not about the client alone. */
  sends: boolean
}

function outcomesOf(report: string): Outcome[] {
  return [...report.matchAll(/<testcase classname="([^"]*)" name="([^"]*)"[^>]*?(?:\/>|>([\s\S]*?)<\/testcase>)/g)].map(
    ([, file, test, inner = '']) => ({
      name: `${file} ${test}`,
      result: /<(?:failure|error)\b/.test(inner) ? 'failed' : inner.includes('<skipped') ? 'skipped' : 'passed',
      sends: /name="requests" value="[1-9]/.test(inner),
    }),
  )
}

/** Prints what was left out, what failed and how many passed; decides how the program ends. */
function conclude(reports: string[]): void {
  for (const { reason, tests: names = [], files = [] } of LEFT_OUT) {
    console.log(`left out: ${[...names, ...files].join(', ')}\n  since: ${reason}`)
  }
  const outcomes = reports.flatMap(outcomesOf)
  for (const { name } of outcomes.filter(o => o.result === 'failed')) console.log(`failed: ${name}`)
  const share = (of: Outcome[], what: string) => {
    const ran = of.filter(o => o.result !== 'skipped')
    const passed = ran.filter(o => o.result === 'passed').length
    console.log(`${passed} of ${ran.length} tests of ${PACKAGE} ${what} passed`)
    return ran.length === 0 ? 0 : passed / ran.length
  }
  console.log(`${outcomes.filter(o => o.result === 'skipped').length} tests skip themselves`)
  share(outcomes, 'in all')
  if (
    share(
      outcomes.filter(o => o.sends || o.result === 'failed'),
      'that send requests',
    ) < LEAST
  )
    process.exitCode = 1
}
