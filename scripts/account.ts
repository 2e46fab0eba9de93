/** The sample's local Azure Cosmos DB account, as a process of its own that ends with this one. */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'

/** Starts it over a file in `sample`; its connection string is the first line that it says. */
export async function startAccount(file: string): Promise<{ endpoint: string; key: string; child: ChildProcess }> {
  const args = [join('cosmos-local', 'bin', 'cosmos-local.js'), '--port', '0', '--path', join('sample', file)]
  const child = spawn(process.execPath, [...args, '--continuous-backup'], { stdio: ['ignore', 'pipe', 'inherit'] })
  process.on('exit', () => child.kill())
  const line = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', data => resolve(String(data)))
    child.once('exit', code => reject(new Error(`the local account ended with ${code}`)))
  })
  child.removeAllListeners('exit')
  child.once('exit', (code, signal) => {
    if (child.killed) return
    console.error(`The local account has ended (${signal ?? `code ${code}`}): nothing that needs it works any more.`)
    process.exit(1)
  })
  const [, endpoint, key] = /AccountEndpoint=([^;]+);AccountKey=([^;]+);/.exec(line)!
  return { endpoint: endpoint!, key: key!, child }
}
