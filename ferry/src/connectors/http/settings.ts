import { z } from 'zod'
import { urlOf } from '../../contract/locator.ts'
import { checkSettings, wrongSettings } from '../../contract/settings.ts'
import type { Kind, Settings } from '../../contract/store.ts'
import { OF_FILES } from '../../formats/kind.ts'

/** Settings of an HTTP connection. The README's table is checked against this schema. */
export const settingsSchema = z.strictObject({
  url: z.url({ protocol: /^https?$/ }).describe('What names are relative to: `https://data.example/exports/`'),
  user: z.string().max(1000).optional().describe('For servers that ask for user and password'),
  password: z.string().optional().describe('Secret, by reference').meta({ secret: true }),
  token: z.string().optional().describe('Sent as `Authorization: Bearer`; secret, by reference').meta({ secret: true }),
})

export type HttpSettings = z.output<typeof settingsSchema>

/** Checks the settings. Throws FERRY-2003. */
export function readSettings(settings: Settings): HttpSettings {
  const checked = checkSettings('http', settingsSchema, settings)
  if (checked.token !== undefined && checked.user !== undefined) {
    throw wrongSettings('http', ['token', 'excludes user'])
  }
  return checked
}

export const httpKind = {
  kind: 'http',
  label: 'HTTP',
  settings: settingsSchema,
  ...OF_FILES,
  abilities: { ...OF_FILES.abilities, update: [], arrivals: false },
  locators: {
    schemes: ['http', 'https'],
    read: text => {
      const { origin, pathname, search } = urlOf(text)
      return { settings: { url: `${origin}/` }, object: `${pathname.slice(1)}${search}` }
    },
    storeOf: ({ settings }) => settings,
  },
  check: readSettings,
} satisfies Kind
