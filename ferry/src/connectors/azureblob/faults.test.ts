import { afterAll } from 'vitest'
import { faultyProxy } from '../../../../test/faultyproxy.ts'
import { objectFaults } from '../../../../test/objectfaults.ts'
import { seedOf } from '../../../../test/seed.ts'
import { startAzurite } from '../../../../test/servers/azurite.ts'

const azurite = await startAzurite()
const proxy = await faultyProxy(azurite.service.url)
afterAll(() => Promise.all([azurite.stop(), proxy.stop()]))

const answer = (status: number, code: string) => ({
  status,
  headers: { 'x-ms-error-code': code },
  body: `<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>${code} by a test</Message></Error>`,
})

objectFaults(
  'Azure Blob Storage',
  {
    proxy,
    make: async () => {
      const container = await azurite.container()
      return { ...container, endpoint: container.endpoint.replace(/^http:\/\/[^/]+/, proxy.endpoint) }
    },
    slowDown: answer(503, 'ServerBusy'),
    expired: answer(403, 'AuthenticationFailed'),
    gone: answer(404, 'BlobNotFound'),
    isRead: ({ method, url }) => method === 'GET' && !/[?&](comp|restype)=/.test(url!),
  },
  seedOf('faults of a store of objects'),
)
