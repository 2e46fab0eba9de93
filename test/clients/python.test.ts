/** The official client for Python against the command line. */
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { startCommand } from './account.ts'
import { runWell } from './programs.ts'
import { pythonWith } from './python.ts'

it('azure-cosmos for Python reads, writes, queries partitions and follows changes', async () => {
  const folder = join(import.meta.dirname, 'python')
  const python = await pythonWith('python', join(folder, 'requirements.txt'))
  const account = await startCommand('--partitions', '2')
  onTestFinished(() => account.stop())
  const env = {
    ACCOUNT_HOST: account.endpoint,
    ACCOUNT_KEY: account.key,
    REQUESTS_CA_BUNDLE: account.certificate,
    PYTHONWARNINGS: 'ignore',
  }
  const output = await runWell(python, [join(folder, 'smoke.py')], { env })
  expect(output.match(/^ok /gm)).toHaveLength(15)
})
