/** Where a factory is, and what of it leads elsewhere here: as commands name it, as runs and servers keep it. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { FerryError } from '../../errors.ts'
import { plainOf, type ValueObject, valueOf } from '../../pipelines/expressions/values.ts'
import { sourceOf } from '../../pipelines/make.ts'
import type { Policy } from '../../policy.ts'
import type { PipelineRunRow } from '../../state/schema.ts'
import { CATEGORIES, Factory } from './artifacts.ts'
import { checkFactory } from './check.ts'
import { readFactory } from './read.ts'
import { type Redirects, readRedirects, requireKnown } from './redirects.ts'

const path = z.string().min(1).max(4000)

/** Names that stand in addresses and on command lines. */
const FACTORY_NAME = /^[\p{L}\p{N}_][\p{L}\p{N}_ .-]{0,199}$/u
const NAME_RULE =
  'a name has letters, digits, spaces, points, hyphens and underscores, and begins with a letter or a digit'

export const sourceSchema = z.strictObject({
  factory: path.describe('A folder that Data Factory keeps in git, or an exported template'),
  parameters: z.array(path).max(20).default([]).describe('Files with values for the parameters of a template'),
  redirect: path.nullable().default(null).describe('A file that says where linked services lead instead'),
  runtime: z
    .array(z.string().min(1).max(300))
    .max(100)
    .default([])
    .describe('Integration runtimes whose work is done here, as `NAME=local`'),
  name: z
    .string()
    .regex(FACTORY_NAME, NAME_RULE)
    .optional()
    .describe('What it is called here; else as it calls itself'),
})
export type FactorySource = z.output<typeof sourceSchema>

export interface Opened {
  factory: Factory
  redirects: Redirects
  policy: Policy
  source: FactorySource
}

/** Throws FERRY-7001 for a name that a server does not keep a factory under. */
export function requireName(name: string): void {
  if (FACTORY_NAME.test(name)) return
  throw new FerryError('FERRY-7001', `the factory calls itself ${JSON.stringify(name)}: ${NAME_RULE}`, {
    hint: 'Give it a name of its own.',
  })
}

/** The same with whole paths: another process reads it there. */
export function absolute({ factory, parameters, redirect, ...rest }: FactorySource): FactorySource {
  return {
    ...rest,
    factory: resolve(factory),
    parameters: parameters.map(file => resolve(file)),
    redirect: redirect === null ? null : resolve(redirect),
  }
}

/** Reads a factory and what it is redirected to. Throws FERRY-1001, FERRY-1003, FERRY-7001, FERRY-7007. */
export function openFactory(source: FactorySource, policy: Policy): Opened {
  const read = readFactory(source.factory, source.parameters, policy)
  const factory = source.name === undefined ? read : new Factory(source.name, read.artifacts, read.globalParameters)
  const redirects = readRedirects(source.redirect ?? undefined, source.runtime, policy)
  requireKnown(redirects, factory)
  return { factory, redirects, policy, source: absolute(source) }
}

/** Changes when a file of a factory does, or one comes or goes. */
export function stampOf({ factory, source }: Opened): string {
  const folders = [...CATEGORIES, 'factory'].map(folder => join(source.factory, folder))
  const own = existsSync(folders.at(-1)!) ? readdirSync(folders.at(-1)!).map(name => join(folders.at(-1)!, name)) : []
  const files = [source.factory, ...folders, ...own, ...source.parameters, source.redirect ?? '', ...factory.files]
  return [...new Set(files)]
    .map(file => statSync(file, { throwIfNoEntry: false }))
    .map(found => (found ? `${found.mtimeMs}:${found.size}` : ''))
    .join()
}

/** As a run keeps it. */
export const keptSource = (source: FactorySource): ValueObject => valueOf(source) as ValueObject

/** The factory of a run, from where it was. Throws FERRY-5006. */
export function reopenFactory(row: PipelineRunRow, policy: Policy): Opened {
  const source = sourceSchema.safeParse(plainOf(sourceOf(row) ?? null))
  if (source.success) return openFactory(source.data, policy)
  throw new FerryError('FERRY-5006', `run ${row.id} does not say where its artifacts are`)
}

/** Throws FERRY-7006 with all that keeps a pipeline, or one that it executes, from running. */
export function requireRuns({ factory, redirects }: Pick<Opened, 'factory' | 'redirects'>, name: string): void {
  const checked = checkFactory(factory, redirects).find(a => a.category === 'pipeline' && a.name === name)!
  if (checked.verdict !== 'cannot run') return
  const all = checked.findings.map(f => `${checked.file} ${f.path}: ${f.message}`)
  throw new FerryError('FERRY-7006', `pipeline ${name} cannot run:\n${all.slice(0, 20).join('\n')}`)
}
