/** The sample's local Azure Cosmos DB account, as a process of its own that ends with this one. */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'

/** Starts it over `sample/account.db`; its connection string is the first line that it says. */
export async function startAccount(): Promise<{ endpoint: string; key: string; child: ChildProcess }> {
  const args = [join('cosmos-local', 'bin', 'cosmos-local.js'), '--port', '0', '--path', join('sample', 'account.db')]
  const child = spawn(process.execPath, [...args, '--continuous-backup'], { stdio: ['ignore', 'pipe', 'inherit'] })
  process.on('exit', () => child.kill())
  const line = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', data => resolve(String(data)))
    child.once('exit', code => reject(new Error(`the local account ended with ${code}`)))
  })
  const [, endpoint, key] = /AccountEndpoint=([^;]+);AccountKey=([^;]+);/.exec(line)!
  return { endpoint: endpoint!, key: key!, child }
}
