/** `cosmos-local`: a local account until it is stopped. */
import { homedir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { certificateIn } from './certificate.ts'
import { startAccount } from './index.ts'

/** The key that everyone knows from Microsoft's emulator: tools that expect it work here too. */
const EMULATOR_KEY = 'C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=='

const HELP = `cosmos-local: a local Azure Cosmos DB for NoSQL account

  --port N                 port (8081); further regions get the ports behind it
  --host ADDRESS           address to listen on (127.0.0.1)
  --path FILE              keeps the account in a SQLite file; in memory without it
  --key KEY                the account key, base64 (that of Microsoft's emulator)
  --regions A,B            regions, the one that is written to first
  --serverless             no throughput settings
  --continuous-backup      keeps every version, for the all-versions change feed
  --enforce-throughput     answers 429 beyond the request units
  --latency N              milliseconds by which every answer comes later, as over a network
  --disable-local-auth     refuses keys
  --partitions N           physical partitions of a new container
  --tls                    HTTPS, with a certificate that it makes; the Java client needs it
  --tls-folder FOLDER      where the certificate and its key are kept (.cosmos-local in the home folder)
`

/** How clients come to trust the certificate. */
function trusting(path: string): string {
  return `
The certificate is ${path}. To trust it:
  Node     NODE_EXTRA_CA_CERTS="${path}"
  Python   REQUESTS_CA_BUNDLE="${path}"
  Go       SSL_CERT_FILE="${path}"
  Java     keytool -importcert -noprompt -alias cosmos-local -file "${path}" -keystore cosmos-local.p12 -storepass changeit
           java -Djavax.net.ssl.trustStore=cosmos-local.p12 -Djavax.net.ssl.trustStorePassword=changeit ...
`
}

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '8081' },
    host: { type: 'string' },
    path: { type: 'string' },
    key: { type: 'string', default: EMULATOR_KEY },
    regions: { type: 'string' },
    serverless: { type: 'boolean' },
    'continuous-backup': { type: 'boolean' },
    'enforce-throughput': { type: 'boolean' },
    latency: { type: 'string' },
    'disable-local-auth': { type: 'boolean' },
    partitions: { type: 'string' },
    tls: { type: 'boolean' },
    'tls-folder': { type: 'string', default: join(homedir(), '.cosmos-local') },
    help: { type: 'boolean' },
  },
})

/** A number of the command line; ends the program where it is none. */
function wholeNumber(name: 'port' | 'partitions' | 'latency'): number | undefined {
  const given = values[name]
  if (given === undefined || /^\d{1,6}$/.test(given)) return given === undefined ? undefined : Number(given)
  process.stderr.write(`--${name} is a whole number, not ${given}\n`)
  return process.exit(2)
}

if (values.help) process.stdout.write(HELP)
else {
  const certificate = values.tls
    ? certificateIn(values['tls-folder'], values.host === undefined ? [] : [values.host])
    : undefined
  const partitions = wholeNumber('partitions')
  const latencyMs = wholeNumber('latency') ?? 0
  const account = await startAccount({
    port: wholeNumber('port') ?? 0,
    key: values.key,
    ...(values.host === undefined ? {} : { host: values.host }),
    ...(values.path === undefined ? {} : { path: values.path }),
    ...(values.regions === undefined ? {} : { regions: values.regions.split(',') }),
    ...(values.serverless ? { serverless: true } : {}),
    ...(values['continuous-backup'] ? { continuousBackup: true } : {}),
    ...(values['enforce-throughput'] ? { enforceThroughput: true } : {}),
    ...(values['disable-local-auth'] ? { localAuthDisabled: true } : {}),
    ...(certificate === undefined ? {} : { tls: certificate }),
    ...(partitions === undefined ? {} : { partitions }),
  }).catch(error => {
    process.stderr.write(`${(error as Error).message}\n`)
    process.exit(1)
  })
  if (latencyMs > 0) account.inject({ latencyMs })
  process.stdout.write(`${account.connectionString}\n`)
  if (certificate) process.stderr.write(trusting(certificate.path))
  const stop = async () => {
    await account.close()
    process.exit(0)
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
}
