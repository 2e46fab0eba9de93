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
const SECONDS_A_TEST = 90

const support = join(import.meta.dirname, 'python')
const python = await pythonWith('python-suite', join(support, 'suite-requirements.txt'))
const tests = await fetchTests()
const account = await startCommand('--continuous-backup')
try {
  const config = join(tests, 'test_config.py')
  const written = readFileSync(config, 'utf8')
  if (!written.includes(EMULATOR)) throw new Error(`${config} does not name ${EMULATOR}`)
  writeFileSync(config, written.replaceAll(EMULATOR, account.endpoint))
  const report = join(tests, 'report.xml')
  await run(python, ['-m', 'pytest', ...optionsOf(report), ...process.argv.slice(2)], {
    cwd: tests,
    env: {
      ACCOUNT_HOST: account.endpoint,
      ACCOUNT_KEY: account.key,
      PYTHONPATH: support,
      PYTHONWARNINGS: 'ignore',
      REQUESTS_CA_BUNDLE: account.certificate,
      SSL_CERT_FILE: account.certificate,
    },
  })
  conclude(readFileSync(report, 'utf8'))
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

function optionsOf(report: string): string[] {
  const files = LEFT_OUT.flatMap(l => l.files ?? []).map(file => `--ignore=${file}`)
  writeFileSync(join(tests, 'left-out.txt'), LEFT_OUT.flatMap(l => l.tests ?? []).join('\n'))
  return [
    ...['-p', 'suite_support', '-p', 'no:cacheprovider', '-m', MARKS, '-q', '--tb=short', '--show-capture=no'],
    ...['--timeout', String(SECONDS_A_TEST), `--junit-xml=${report}`, ...files],
  ]
}

/** Prints what was left out and how many passed; decides how the program ends. */
function conclude(report: string): void {
  for (const { reason, tests: names = [], files = [] } of LEFT_OUT) {
    console.log(`left out: ${[...names, ...files].join(', ')}\n  since: ${reason}`)
  }
  const count = (name: string) => Number(new RegExp(`<testsuite [^>]*\\b${name}="(\\d+)"`).exec(report)?.[1] ?? 0)
  const [all, skipped] = [count('tests'), count('skipped')]
  const failed = count('failures') + count('errors')
  const ran = all - skipped
  const passed = ran - failed
  console.log(`${passed} of ${ran} tests of ${PACKAGE} passed (${skipped} skip themselves)`)
  if (ran === 0 || passed / ran < LEAST) process.exitCode = 1
}
