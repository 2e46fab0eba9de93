/** The official client for Go against the command line. */
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { startCommand } from './account.ts'
import { need, runWell } from './programs.ts'

it('azcosmos for Go reads, writes, patches, queries and sends batches', async () => {
  need('go', 'version')
  const account = await startCommand('--partitions', '3')
  onTestFinished(() => account.stop())
  const env = { ACCOUNT_HOST: account.endpoint, ACCOUNT_KEY: account.key, SSL_CERT_FILE: account.certificate }
  // What is downloaded comes by the system's own certificates: build first, run with the account's.
  const program = join(import.meta.dirname, 'go')
  await runWell('go', ['build', '-o', join(program, 'smoke.tmp'), '.'], { cwd: program })
  const output = await runWell(join(program, 'smoke.tmp'), [], { env })
  expect(output.match(/^ok /gm)).toHaveLength(9)
})
