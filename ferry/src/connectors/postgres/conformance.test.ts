import { makeDatabase } from '../../../../test/support.ts'
import { conformance } from '../../contract/conformance/suite.ts'
import { postgresKind } from './settings.ts'

/** Finer than microseconds. */
const isFine = (text: string) => /\.\d{7,}/.test(text) && !/\.\d{6}0*$/.test(text)

conformance('PostgreSQL', {
  kind: postgresKind,
  evolves: true,
  refuses: { utf8: text => text.includes('\0'), timestampns: isFine },
  make: async () => ({
    endpoint: { kind: 'postgres', ...(await makeDatabase()).settings },
    object: name => `public.${name}`,
  }),
})
