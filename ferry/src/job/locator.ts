/**
 * Locators: a store, and an object in it, in one word. Each kind of store declares its own.
 *
 *     postgres://user@host:5432/db#schema.table    sqlite:shop.db#orders    shop.db#orders    lake.duckdb#t
 *     mysql://user@host:3306/db#table    mariadb://...
 *     cosmos://name.documents.azure.com/shop#orders
 *     ./orders.parquet    data/*.csv.gz    -       (standard input or output)
 */

import { KINDS } from '../connectors/registry.ts'
import { withoutPassword } from '../connectors/settings.ts'
import { beforeHash, type Located } from '../contract/locator.ts'
import type { Kind } from '../contract/store.ts'
import { FerryError } from '../errors.ts'

export interface Locator extends Located {
  kind: string
}

/** Reads a locator. Throws FERRY-1006. */
export function parseLocator(text: string): Locator {
  if (text === '') throw new FerryError('FERRY-1006', 'a locator is empty')
  const kind = kindFor(text)
  return { kind: kind.kind, ...kind.locators.read(text) }
}

function kindFor(text: string): Kind {
  const scheme = /^([a-z][a-z0-9+]*):/i.exec(text)?.[1]?.toLowerCase()
  const named = KINDS.find(k => scheme !== undefined && k.locators.schemes.includes(scheme))
  if (named) return named
  // One letter is a Windows drive, not a scheme.
  if (scheme !== undefined && scheme.length > 1) {
    throw new FerryError('FERRY-1006', `${withoutPassword(text)}: there is no connector for "${scheme}:"`, {
      hint: 'A file of this name is ./NAME. A connector of your own is loaded with --connector FILE.',
    })
  }
  const path = beforeHash(text)
  return KINDS.find(k => k.locators.endings?.test(path)) ?? KINDS.find(k => k.locators.rest)!
}

/** Reads the locator of a store itself; of files that is the folder. Throws FERRY-1006. */
export function parseStore(text: string): Pick<Locator, 'kind' | 'settings'> {
  const kind = kindFor(text)
  const located = kind.locators.read(text)
  return { kind: kind.kind, settings: kind.locators.storeOf?.(located) ?? located.settings }
}
