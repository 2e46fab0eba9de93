import { resolve } from 'node:path'
import { z } from 'zod'
import { urlOf } from '../../contract/locator.ts'
import { checkSettings } from '../../contract/settings.ts'
import type { Kind, Settings } from '../../contract/store.ts'
import { OF_FILES } from '../../formats/kind.ts'
import type { Policy } from '../../policy.ts'

/** Settings of a files connection. The README's table is checked against this schema. */
export const settingsSchema = z.strictObject({
  folder: z.string().max(4000).default('.').describe('Folder that relative names start from'),
})

export const filesKind = {
  kind: 'files',
  label: 'Files',
  settings: settingsSchema,
  ...OF_FILES,
  locators: {
    schemes: ['file'],
    rest: true,
    read: text => {
      const isUrl = /^file:/i.test(text)
      return { settings: {}, object: isUrl ? decodeURIComponent(urlOf(text).pathname) : text }
    },
    // Standard input and output are in no folder.
    storeOf: ({ object }) => (object === '-' ? {} : { folder: object }),
  },
  /** Gives back the folder. */
  check(settings: Settings, policy: Policy): string {
    const { folder } = checkSettings('files', settingsSchema, settings)
    if (settings.folder !== undefined) policy.pathOf(resolve(folder))
    return folder
  },
} satisfies Kind
