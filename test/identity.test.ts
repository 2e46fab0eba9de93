/** What Ferry sends to prove who it is: to the authority, to the machine's identity, to the vault, to the account. */
import { createVerify } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import { join } from 'node:path'
import forge from 'node-forge'
import { describe, expect, it, onTestFinished } from 'vitest'
import { writeFactory } from './adf/factory.ts'
import { account } from './cosmos.ts'
import { ferry, root, temporaryFolder } from './support.ts'

const certificate = join(root, 'cosmos-local', 'test', 'localhost.crt')
const tls = {
  cert: readFileSync(certificate),
  key: readFileSync(join(root, 'cosmos-local', 'test', 'localhost.key')),
}

interface Sent {
  method: string
  url: string
  headers: IncomingMessage['headers']
  body: URLSearchParams
}

/** A server that keeps what it is sent, and answers as it is told. */
async function listener(secure: boolean, answer: (sent: Sent, response: ServerResponse) => unknown) {
  const sent: Sent[] = []
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    let text = ''
    for await (const chunk of request) text += chunk
    const one = {
      method: request.method!,
      url: request.url!,
      headers: request.headers,
      body: new URLSearchParams(text),
    }
    sent.push(one)
    const body = answer(one, response)
    if (response.writableEnded) return
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(body ?? {}))
  }
  const server: Server = secure ? createHttpsServer(tls, handle) : createHttpServer(handle)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { url: `${secure ? 'https' : 'http'}://localhost:${port}`, sent, server }
}

/** An Entra authority. */
async function authority() {
  const made = await listener(true, ({ url }) => {
    const tenant = url.split('/')[1]
    const base = `${made.url}/${tenant}`
    if (url.includes('openid-configuration')) {
      return {
        token_endpoint: `${base}/oauth2/v2.0/token`,
        authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
        issuer: `${base}/v2.0`,
        jwks_uri: `${base}/keys`,
      }
    }
    return { token_type: 'Bearer', expires_in: 3599, access_token: 'a-token' }
  })
  return { ...made, tokens: () => made.sent.filter(s => s.method === 'POST' && /\/token($|\?)/.test(s.url)) }
}

/** An account that takes only the token `a-token`, and keeps what it was shown. */
async function accountOfTokens() {
  const shown: string[] = []
  const running = await account({
    localAuthDisabled: true,
    acceptToken: token => {
      shown.push(token)
      return token === 'a-token'
    },
  })
  return { running, shown }
}

/** What `connections test` says with some settings. */
async function test(endpoint: string, settings: Record<string, string>, env: NodeJS.ProcessEnv) {
  const home = temporaryFolder()
  const pairs = Object.entries(settings).flatMap(([name, value]) => ['--set', `${name}=${value}`])
  const added = await ferry(['connections', 'add', 'prod', endpoint.replace('http', 'cosmos'), ...pairs], { home, env })
  expect(added.code, added.stderr).toBe(0)
  return ferry(['connections', 'test', 'prod'], { home, env: { ...env, NODE_EXTRA_CA_CERTS: certificate } })
}

const principal = { tenant: 'contoso.onmicrosoft.com', servicePrincipalId: 'the-client' }

describe('a service principal', () => {
  it('sends its secret to the authority, and the token to the account', async () => {
    const entra = await authority()
    const { running, shown } = await accountOfTokens()
    const { code, stderr, stdout } = await test(
      running.endpoint,
      { ...principal, servicePrincipalCredential: '${SP_SECRET}' },
      { AZURE_AUTHORITY_HOST: entra.url, SP_SECRET: 'its secret' },
    )
    expect(code, stderr).toBe(0)
    expect(stdout).toMatch(/Azure Cosmos DB for NoSQL, 1 databases/)
    const [token] = entra.tokens()
    expect(token!.url).toMatch(/^\/contoso\.onmicrosoft\.com\/oauth2\/v2\.0\/token(\?|$)/)
    expect(Object.fromEntries(token!.body)).toMatchObject({
      client_id: 'the-client',
      client_secret: 'its secret',
      grant_type: 'client_credentials',
      scope: expect.stringContaining(`${running.endpoint}/.default`),
    })
    expect(new Set(shown)).toEqual(new Set(['a-token']))
  })

  it.each(['PEM', 'the path of a PEM file', 'PKCS #12 in base64'])('signs with its certificate, as %s', async form => {
    const { pem, pkcs12, publicKey } = makeCertificate()
    const path = join(temporaryFolder(), 'principal.pem')
    writeFileSync(path, pem)
    const given = { PEM: pem, 'the path of a PEM file': path, 'PKCS #12 in base64': pkcs12 }[form]!
    const entra = await authority()
    const { running } = await accountOfTokens()
    const { code, stderr } = await test(
      running.endpoint,
      {
        ...principal,
        servicePrincipalCredentialType: 'ServicePrincipalCert',
        servicePrincipalCredential: '${SP_CERT}',
      },
      { AZURE_AUTHORITY_HOST: entra.url, SP_CERT: given },
    )
    expect(code, stderr).toBe(0)
    const assertion = entra.tokens()[0]!.body.get('client_assertion')!
    const [header, payload, signature] = assertion.split('.')
    expect(JSON.parse(Buffer.from(payload!, 'base64url').toString())).toMatchObject({
      iss: 'the-client',
      sub: 'the-client',
    })
    const { alg } = JSON.parse(Buffer.from(header!, 'base64url').toString()) as { alg: string }
    const verify = createVerify('RSA-SHA256').update(`${header}.${payload}`)
    const padding = alg.startsWith('PS') ? { padding: 6, saltLength: 32 } : {}
    expect(verify.verify({ key: publicKey, ...padding }, signature!, 'base64url')).toBe(true)
  })

  it.each([
    ['AzurePublic', 'login.microsoftonline.com'],
    // Its other name: the library knows both.
    ['AzureChina', 'login.partner.microsoftonline.cn'],
    ['AzureUsGovernment', 'login.microsoftonline.us'],
    ['AzureGermany', 'login.microsoftonline.de'],
  ])('signs in where %s has its authority', async (azureCloudType, host) => {
    const asked: string[] = []
    const proxy = createHttpServer()
    proxy.on('connect', (request, socket) => {
      asked.push(request.url!)
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
    })
    await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      proxy.close()
    })
    const { running } = await accountOfTokens()
    const { port } = proxy.address() as AddressInfo
    const { code, stderr } = await test(
      running.endpoint,
      { ...principal, servicePrincipalCredential: '${SP_SECRET}', azureCloudType },
      { SP_SECRET: 's', HTTPS_PROXY: `http://127.0.0.1:${port}` },
    )
    expect(code).toBe(1)
    expect(stderr).toMatch(/FERRY-2002/)
    expect(asked.length).toBeGreaterThan(0)
    expect(new Set(asked.map(url => url.split(':')[0]))).toContain(host)
  })

  it('that is refused is told so, without its secret', async () => {
    const entra = await listener(true, ({ url }, response) => {
      if (url.includes('openid-configuration')) {
        const base = `${entra.url}/contoso.onmicrosoft.com`
        return {
          token_endpoint: `${base}/oauth2/v2.0/token`,
          authorization_endpoint: base,
          issuer: base,
          jwks_uri: base,
        }
      }
      response.statusCode = 401
      return { error: 'invalid_client', error_description: 'AADSTS7000215: Invalid client secret provided.' }
    })
    const { running } = await accountOfTokens()
    const { code, stderr } = await test(
      running.endpoint,
      { ...principal, servicePrincipalCredential: '${SP_SECRET}' },
      { AZURE_AUTHORITY_HOST: entra.url, SP_SECRET: 'wrong-secret' },
    )
    expect(code).toBe(1)
    expect(stderr).toMatch(/FERRY-2002.*AADSTS7000215/)
    expect(stderr).not.toMatch(/wrong-secret/)
  })
})

describe('a managed identity', () => {
  it.each([
    ['of the system', {}, null],
    ['of the system, by name', { managedIdentity: 'system' }, null],
    ['assigned by a user', { managedIdentity: 'its-client-id' }, 'its-client-id'],
  ])('%s is asked of the machine', async (_, settings, client) => {
    const machine = await listener(false, () => ({
      access_token: 'a-token',
      expires_in: '3599',
      expires_on: String(Math.floor(Date.now() / 1000) + 3599),
      resource: 'r',
      token_type: 'Bearer',
    }))
    const { running, shown } = await accountOfTokens()
    const { code, stderr } = await test(running.endpoint, settings as Record<string, string>, {
      AZURE_POD_IDENTITY_AUTHORITY_HOST: machine.url,
    })
    expect(code, stderr).toBe(0)
    const asked = machine.sent.find(s => s.url.includes('resource='))!
    const url = new URL(asked.url, machine.url)
    expect(url.pathname).toMatch(/^\/metadata\/identity\/oauth2\/token\/?$/)
    expect(url.searchParams.get('resource')).toBe(running.endpoint)
    expect(url.searchParams.get('client_id')).toBe(client)
    expect(asked.headers.metadata).toBe('true')
    expect(shown[0]).toBe('a-token')
  })
})

describe('Azure Key Vault', () => {
  it('gives a key that stays there', async () => {
    const running = await account()
    const entra = await authority()
    const vault = await listener(true, ({ headers }, response) => {
      if (headers.authorization === 'Bearer a-token')
        return { value: running.key, id: `${vault.url}/secrets/cosmos-key/1` }
      response.statusCode = 401
      response.setHeader(
        'www-authenticate',
        `Bearer authorization="${entra.url}/contoso.onmicrosoft.com", resource="https://vault.azure.net"`,
      )
      return { error: { code: 'Unauthorized' } }
    })
    const env = {
      AZURE_AUTHORITY_HOST: entra.url,
      AZURE_TENANT_ID: 'contoso.onmicrosoft.com',
      AZURE_CLIENT_ID: 'who-asks',
      AZURE_CLIENT_SECRET: 'its secret',
    }
    const { code, stderr } = await test(running.endpoint, { key: `keyvault:${vault.url}/secrets/cosmos-key` }, env)
    expect(code, stderr).toBe(0)
    expect(vault.sent.at(-1)!.url).toMatch(/^\/secrets\/cosmos-key\/?\?api(-|%2D)version=/)
    expect(Object.fromEntries(entra.tokens()[0]!.body)).toMatchObject({
      client_id: 'who-asks',
      scope: expect.stringContaining('https://vault.azure.net/.default'),
    })
    const wrong = await test(running.endpoint, { key: `keyvault:${vault.url}/keys/cosmos-key` }, env)
    expect(wrong.stderr).toMatch(/FERRY-2003 .* is no reference to a secret/)
  })
})

describe('a key', () => {
  it('comes from a connection string, and excludes other identities', async () => {
    const running = await account()
    const home = temporaryFolder()
    const env = { COSMOS: `${running.connectionString}Database=shop` }
    const string = await test(running.endpoint, { connectionString: '${COSMOS}' }, env)
    expect(string.code, string.stderr).toBe(0)
    const both = await test(running.endpoint, { key: '${K}', managedIdentity: 'system' }, { K: running.key })
    expect(both.stderr).toMatch(/excludes the others/)
    const plain = await ferry(
      ['connections', 'add', 'prod', running.endpoint.replace('http', 'cosmos'), '--set', 'key=abc'],
      { home },
    )
    expect(plain.stderr).toMatch(/would be stored as it is/)
  })
})

/** A certificate with its key, in the forms that Azure knows. */
function makeCertificate(): { pem: string; pkcs12: string; publicKey: string } {
  const keys = forge.pki.rsa.generateKeyPair(2048)
  const made = forge.pki.createCertificate()
  made.publicKey = keys.publicKey
  made.serialNumber = '01'
  made.validity.notBefore = new Date(Date.now() - 86_400_000)
  made.validity.notAfter = new Date(Date.now() + 86_400_000)
  const name = [{ name: 'commonName', value: 'ferry-test' }]
  made.setSubject(name)
  made.setIssuer(name)
  made.sign(keys.privateKey, forge.md.sha256.create())
  const archive = forge.pkcs12.toPkcs12Asn1(keys.privateKey, [made], '')
  const der = forge.asn1.toDer(archive).getBytes()
  return {
    pem: `${forge.pki.privateKeyToPem(keys.privateKey)}${forge.pki.certificateToPem(made)}`,
    pkcs12: Buffer.from(der, 'binary').toString('base64'),
    publicKey: forge.pki.publicKeyToPem(keys.publicKey),
  }
}

describe('a Web activity', () => {
  it.each([
    [
      'a service principal',
      {
        type: 'ServicePrincipal',
        userTenant: principal.tenant,
        username: 'the-client',
        password: { type: 'SecureString', value: 'its secret' },
      },
      {},
    ],
    [
      'the identity of whoever runs it',
      { type: 'MSI' },
      { AZURE_TENANT_ID: principal.tenant, AZURE_CLIENT_ID: 'the-client', AZURE_CLIENT_SECRET: 'its secret' },
    ],
  ])('calls as %s', async (_, authentication, own) => {
    const entra = await authority()
    const called = await listener(false, () => ({ ok: true }))
    const activity = {
      name: 'call',
      type: 'WebActivity',
      typeProperties: {
        url: called.url,
        method: 'GET',
        authentication: { ...authentication, resource: 'https://management.azure.com/' },
      },
    }
    const folder = writeFactory({ 'pipeline/p': { activities: [activity] } })
    const env = { ...own, AZURE_AUTHORITY_HOST: entra.url, NODE_EXTRA_CA_CERTS: certificate }
    const { code, stderr, stdout } = await ferry(['adf', 'run', '--factory', folder, '--pipeline', 'p', '--json'], {
      home: temporaryFolder(),
      env,
    })
    expect(code, stderr + stdout).toBe(0)
    expect(called.sent[0]!.headers.authorization).toBe('Bearer a-token')
    expect(Object.fromEntries(entra.tokens()[0]!.body)).toMatchObject({
      client_id: 'the-client',
      client_secret: 'its secret',
    })
    expect(stdout).not.toContain('its secret')
  })
})
