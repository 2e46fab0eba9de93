import { connect, createServer } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { guardNetwork, isRefused } from './network.ts'

describe('addresses that a server does not call', () => {
  it.each([
    '169.254.169.254',
    '169.254.0.1',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    '0.0.0.0',
    '::ffff:169.254.169.254',
    '::ffff:a9fe:a9fe',
    '0:0:0:0:0:FFFF:A9FE:A9FE',
    '::a9fe:a9fe',
    '::ffff:0:a9fe:a9fe',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b:1::169.254.169.254',
    '2002:a9fe:a9fe::1',
    'fe80::1',
    'fe80::1%eth0',
    'fd00:ec2::254',
    'fd20:ce::254',
    'no address',
  ])('%s', address => expect(isRefused(address)).toBe(true))

  it.each(['127.0.0.1', '::1', '10.0.0.1', '192.168.1.1', '8.8.8.8', '::ffff:10.0.0.1', '2001:db8::1', 'fd12::1'])(
    'but %s',
    address => expect(isRefused(address)).toBe(false),
  )

  it('are refused where the socket connects, whatever a look-up before that said', async () => {
    guardNetwork()
    const server = createServer(socket => socket.end()).listen(0, '127.0.0.1')
    onTestFinished(() => void server.close())
    await new Promise(resolve => server.once('listening', resolve))
    const { port } = server.address() as { port: number }
    const answers = ['127.0.0.1', '169.254.169.254']
    const lookup = (_: string, options: { all?: boolean }, done: (...results: unknown[]) => void) => {
      const address = answers.shift()!
      if (options.all) done(null, [{ address, family: 4 }])
      else done(null, address, 4)
    }
    const outcome = () =>
      new Promise<string>(resolve => {
        const socket = connect({ host: 'changes.example', port, lookup: lookup as never })
        socket.once('connect', () => resolve('connected'))
        socket.once('error', error => resolve((error as { code?: string }).code ?? error.message))
      })
    expect(await outcome()).toBe('connected')
    expect(await outcome()).toBe('FERRY-2006')
  })
})
