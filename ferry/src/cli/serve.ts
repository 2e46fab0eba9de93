/** `ferry serve`: runs until a signal ends it. */
import { serve as startServer } from '../server/serve.ts'
import { paint } from './output.ts'

interface Options {
  host: string
  port: number
  folder?: string[]
  variable?: string[]
  allowedHost?: string[]
  publicUrl?: string
  most: number
  runMemory?: number
  keepDays: number
  logLevel: string
}

export default async function serve(_: string[], options: Options): Promise<void> {
  const server = await startServer({
    host: options.host,
    port: options.port,
    folders: options.folder ?? [],
    variables: options.variable ?? [],
    allowedHosts: options.allowedHost ?? [],
    publicUrl: options.publicUrl,
    most: options.most,
    runMemory: options.runMemory,
    keepDays: options.keepDays,
    logLevel: options.logLevel,
  })
  const { url, token } = server
  const out = process.stdout
  const lines = [`Ferry listens at ${paint('1', url, out)}`]
  if (token) {
    lines.push(`Open ${paint('1', `${url}/#token=${token}`, out)}`)
    lines.push(
      `The token is told only now, and kept in ${process.env.FERRY_HOME || '~/.ferry'}/token for your commands.`,
    )
  }
  if (!/^(127\.|localhost$|::1$)/.test(options.host)) {
    lines.push('It listens beyond this machine, without encryption: put a proxy with TLS before it.')
  }
  if (options.most === 0) lines.push('It executes no runs by itself: `ferry worker` does.')
  const ended = new Promise<void>(resolve => {
    let asked = 0
    const onSignal = () => {
      // The second one does not wait for the splits at work.
      if (++asked > 1) process.exit(130)
      resolve()
    }
    process.on('SIGINT', onSignal)
    process.on('SIGTERM', onSignal)
    // Who started it with a pipe of their own ends it by going away.
    if (process.send) process.once('disconnect', onSignal)
  })
  // In one write: a reader that waits for the first line gets the others with it.
  out.write(`${lines.join('\n')}\n`)
  await ended
  await server.stop()
  // The pipe to a parent would keep this process alive.
  process.removeAllListeners('disconnect')
  if (process.connected) process.disconnect()
}
