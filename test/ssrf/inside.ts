/**
 * Within a network namespace of its own, where an address of the cloud's metadata is this machine: asks a server to
 * connect there in every spelling, and prints how each attempt ended and how often somebody arrived.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const run = (...words: string[]) => {
  const { status, stderr } = spawnSync('ip', words, { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
}
run('link', 'set', 'lo', 'up')
for (const address of ['169.254.169.254/32', '100.100.100.200/32', 'fd00:ec2::254/128', 'fe80::1/64']) {
  run('address', 'add', address, 'dev', 'lo')
}

const SECRET = 'the-credentials-of-the-machine'
let visits = 0
const metadata = createServer((_, response) => {
  visits++
  response.end(JSON.stringify({ message: SECRET, AccessKeyId: SECRET }))
})
await new Promise<void>(resolve => metadata.listen(80, '::', resolve))
const database = createTcpServer(socket => {
  visits++
  socket.end(SECRET)
})
await new Promise<void>(resolve => database.listen(5432, '::', resolve))

// That somebody would arrive, without the server between.
await fetch('http://169.254.169.254/')
const reachable = visits
visits = 0

const key = 'eA=='
const endpoints = [
  'http://169.254.169.254/',
  'http:169.254.169.254',
  'http:\\\\169.254.169.254\\',
  ' http://169.254.169.254/',
  'http://[::ffff:a9fe:a9fe]/',
  'http://[::ffff:169.254.169.254]/',
  'http://2852039166/',
  'http://0xa9fea9fe/',
  'http://169.254.43518/',
  'http://user@169.254.169.254/',
  'http://169.254.169.254.:80/',
  'http://[fd00:ec2::254]/',
  'http://100.100.100.200/',
]
const bodies: Record<string, unknown>[] = [
  ...endpoints.map(endpoint => ({ kind: 'cosmos', settings: { endpoint, key } })),
  ...endpoints.map(e => ({
    kind: 'cosmos',
    settings: { connectionString: `AccountKey=${key};AccountEndpoint=${e};` },
  })),
  ...endpoints.map(e => ({
    kind: 'cosmos',
    settings: { connectionString: `Database=x; accountendpoint = ${e}`, key },
  })),
  ...[
    '169.254.169.254',
    ' 169.254.169.254',
    '::ffff:a9fe:a9fe',
    '2852039166',
    '0xA9FEA9FE',
    '169.254.43518',
    'fe80::1%lo',
  ].flatMap(host => [
    { kind: 'postgres', settings: { host, connectTimeout: 5 } },
    { kind: 'postgres', settings: { host, ssl: 'require', connectTimeout: 5 } },
    { kind: 'mysql', settings: { host, port: 80, connectTimeout: 5 } },
  ]),
  { locator: 'postgres://a@169.254.169.254/latest' },
  { locator: 'cosmos://169.254.169.254/x?key=eA==' },
]
const home = mkdtempSync(join(tmpdir(), 'ferry-ssrf-'))
const folder = mkdtempSync(join(tmpdir(), 'ferry-ssrf-'))
const program = join(import.meta.dirname, '..', '..', 'ferry', 'bin', 'ferry.js')
const child = spawn(process.execPath, [program, 'serve', '--port', '7070', '--folder', folder], {
  env: { ...process.env, FERRY_HOME: home, FERRY_TOKEN: 'token' },
  stdio: ['ignore', 'pipe', 'inherit'],
})
await once(child.stdout, 'data')
const answers: { body: string; answer: string }[] = []
for (const body of bodies) {
  const response = await fetch('http://127.0.0.1:7070/api/v1/connections/test', {
    method: 'POST',
    headers: { authorization: 'Bearer token', 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  answers.push({ body: JSON.stringify(body), answer: await response.text() })
}
console.log(JSON.stringify({ reachable, visits, answers, leaked: answers.some(a => a.answer.includes(SECRET)) }))
child.kill('SIGKILL')
for (const path of [home, folder]) rmSync(path, { recursive: true, force: true })
process.exit(0)
