/**
 * What settings each kind of store has, by their schemas alone: no driver is loaded. Which of them are secrets the
 * schemas say; what no schema knows is never shown.
 */
import type { z } from 'zod'
import '../faults.ts'
import { valueOf } from '../batch/valueof.ts'
import { findKind, KINDS } from './registry.ts'

const isMarked = (field: z.ZodType): boolean => field.meta()?.secret === true

/** Names that no kind of store keeps a secret under; `sslmode` occurs in URLs only. */
const isPlain = (name: string): boolean =>
  name === 'sslmode' || KINDS.some(k => valueOf(k.settings.shape, name) && !isMarked(valueOf(k.settings.shape, name)!))

/** The names of the settings that a kind of store has. */
export function settingNames(kind: string): string[] {
  return Object.keys(findKind(kind)?.settings.shape ?? {})
}

/** Whether a setting of a kind of store is a secret: declared as one, or not declared at all. */
export function isSecret(kind: string, name: string): boolean {
  const schema = findKind(kind)?.settings
  const field = schema && valueOf(schema.shape as Record<string, z.ZodType>, name)
  return field === undefined || isMarked(field)
}

/** True if a secret's value is only a reference to it: a variable, or a secret in Azure Key Vault. */
export function isReference(value: unknown): boolean {
  return typeof value === 'string' && /^\$\{\w+\}$|^keyvault:https:\/\//.test(value)
}

/** The text with secrets in addresses replaced, for messages, logs and the state. */
export function withoutPassword(text: string): string {
  return text
    .replace(/([a-z][a-z0-9+.-]*:\/\/[^\s:/?#@"']*):[^\s/"']*@/gi, '$1:***@')
    .replace(/([?&])([^=&#\s"']+)=([^&#\s"']*)/g, (whole, mark: string, name: string) =>
      isPlain(decoded(name)) ? whole : `${mark}${name}=***`,
    )
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}
