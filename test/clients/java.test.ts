/** The official client for Java, in gateway mode, against the command line. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { startCommand } from './account.ts'
import { cacheFolder, need, runWell } from './programs.ts'

it('azure-cosmos for Java reads, writes, queries partitions and follows changes', async () => {
  need('java', '-version')
  need('mvn', '--version')
  const program = join(import.meta.dirname, 'java')
  const target = cacheFolder('java')
  await runWell('mvn', ['-q', '-B', 'package', `-DbuildDirectory=${target}`], { cwd: program })
  const account = await startCommand('--partitions', '2')
  onTestFinished(() => account.stop())
  // As the command line says.
  const store = join(target, 'cosmos-local.p12')
  const password = 'changeit'
  rmSync(store, { force: true })
  await runWell('keytool', [
    ...['-importcert', '-noprompt', '-alias', 'cosmos-local', '-file', account.certificate],
    ...['-keystore', store, '-storepass', password],
  ])
  const quiet = '-Dorg.slf4j.simpleLogger.defaultLogLevel=error'
  const trust = [quiet, `-Djavax.net.ssl.trustStore=${store}`, `-Djavax.net.ssl.trustStorePassword=${password}`]
  const jars = [join(target, 'smoke-1.jar'), join(target, 'dependency', '*')].join(':')
  const env = { ACCOUNT_HOST: account.endpoint, ACCOUNT_KEY: account.key }
  const output = await runWell('java', [...trust, '-cp', jars, 'Smoke'], { env })
  expect(output.match(/^ok /gm)).toHaveLength(18)
})
