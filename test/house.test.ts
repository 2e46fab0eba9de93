/** The house: who may know whom. */
import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { KINDS } from '../ferry/src/connectors/registry.ts'
import { root } from './support.ts'

const files = (pattern: string) =>
  globSync(pattern, { cwd: root })
    .filter(path => !/\.test\.tsx?$|^ferry\/src\/contract\/conformance\//.test(path))
    .map(path => ({
      path,
      text: readFileSync(join(root, path), 'utf8'),
    }))

describe('a kind of store', () => {
  it('is named by its own folder and the registry alone', () => {
    // `files` is a word of triggers and `http` one of the API's description: of the first only the question is looked for.
    const names = KINDS.map(k => k.kind).filter(kind => kind !== 'files' && kind !== 'http')
    const named = new RegExp(`'(${names.join('|')})'|[kK]ind [!=]== 'files'`)
    const outside = ['batch', 'contract', 'engine', 'job', 'runtime', 'pipelines', 'server'].flatMap(f =>
      files(`ferry/src/${f}/**/*.ts`),
    )
    const found = [...outside, ...files('web/src/**/*.{ts,tsx}')].flatMap(({ path, text }) =>
      text.split('\n').flatMap((line, i) => (named.test(line) ? [`${path}:${i + 1} ${line.trim()}`] : [])),
    )
    // A form of triggers has a kind of its own; plans of older versions named stores.
    expect(found.filter(f => !/MISFITS|triggers\.tsx/.test(f))).toEqual([])
  })

  it('is imported by no other one, and by the registry alone', () => {
    const found = files('ferry/src/**/*.ts').flatMap(({ path, text }) =>
      [
        ...text.matchAll(
          /from '([^']*\/)?(postgres|mysql|sqlite|duckdb|cosmos|files|s3|azureblob|gcs|sftp|http)\/([^']+)'/g,
        ),
      ].flatMap(match => {
        const [, before = '', kind] = match
        const isOwnFolder = path.startsWith(`ferry/src/connectors/${kind}/`)
        const isEngine = /(\.\.\/)+$/.test(before) && kind === 'duckdb' && !before.endsWith('connectors/')
        const isRegistry = path === 'ferry/src/connectors/registry.ts'
        return isOwnFolder || isRegistry || isEngine ? [] : [`${path}: ${match[0]}`]
      }),
    )
    expect(found).toEqual([])
  })
})

describe('imports', () => {
  it('go in no circle but that of texts and JSON, whose values nest', () => {
    const all = [...files('ferry/src/**/*.ts'), ...files('cosmos-local/src/**/*.ts'), ...files('web/src/**/*.{ts,tsx}')]
    const known = new Set(all.map(f => f.path))
    const imports = new Map(
      all.map(({ path, text }) => {
        const named = [...text.matchAll(/(?:from|import|import\()\s*'(\.[^']+)'/g)].map(m => join(dirname(path), m[1]!))
        return [path, named.filter(p => known.has(p))]
      }),
    )
    /** What a file reaches, by whatever way. */
    const reached = (from: string) => {
      const found = new Set<string>()
      for (const left = [...imports.get(from)!]; left.length > 0; ) {
        const next = left.pop()!
        if (found.has(next)) continue
        found.add(next)
        left.push(...imports.get(next)!)
      }
      return found
    }
    const circular = [...imports.keys()].filter(path => reached(path).has(path))
    expect(circular.sort()).toEqual(['ferry/src/batch/json.ts', 'ferry/src/batch/text.ts'])
  })
})

describe('a file', () => {
  it('has at most 400 lines, or says why it is one', () => {
    const all = ['ferry/src/**/*.ts', 'cosmos-local/src/**/*.ts', 'web/src/**/*.{ts,tsx}'].flatMap(files)
    const long = all.filter(({ text }) => text.split('\n').length > 401)
    const found = long.filter(({ text }) => !text.split('\n').slice(0, 8).join('\n').includes(' * One file: '))
    expect(found.map(f => f.path)).toEqual([])
  })
})

describe('formats', () => {
  it('read and write through a store of objects alone', () => {
    const found = files('ferry/src/formats/*.ts').flatMap(({ path, text }) =>
      /'node:(fs|path)|objects\/local/.test(text) ? [path] : [],
    )
    expect(found).toEqual([])
  })
})

describe('what is allowed', () => {
  it('is handed in: no store, format or copy looks into the environment', () => {
    const rooms = ['batch', 'contract', 'objects', 'duckdb', 'formats', 'connectors', 'job', 'engine', 'secrets']
    const found = rooms
      .flatMap(room => files(`ferry/src/${room}/**/*.ts`))
      .flatMap(({ path, text }) => [...text.matchAll(/process\.env\.?(\w*)/g)].map(([, name]) => `${path} ${name}`))
    expect(found).toEqual([
      // Named pipes that cannot be made; files of connectors; the directory of authorities of a test.
      'ferry/src/duckdb/pipe.ts FERRY_PIPES',
      'ferry/src/connectors/entra.ts AZURE_AUTHORITY_HOST',
      'ferry/src/connectors/entra.ts AZURE_AUTHORITY_HOST',
      'ferry/src/connectors/registry.ts ',
      'ferry/src/connectors/registry.ts ',
      'ferry/src/connectors/registry.ts ',
      'ferry/src/secrets/keyvault.ts AZURE_AUTHORITY_HOST',
      // The default of a parameter.
      'ferry/src/secrets/seal.ts ',
    ])
  })
})

describe('layers', () => {
  /** Each knows those before it. */
  const layers = [
    'batch',
    'contract',
    'objects',
    'duckdb',
    'formats',
    'connectors',
    'job',
    'engine',
    'state',
    'runtime',
    'pipelines',
    'dataflow',
    'facades',
    'server',
    'cli',
  ]

  it.each(layers)('%s imports nothing above it', layer => {
    const above = layers.slice(layers.indexOf(layer) + 1)
    const found = files(`ferry/src/${layer}/**/*.ts`).flatMap(({ path, text }) =>
      [...text.matchAll(/from '(?:\.\.\/)+([a-z]+)\/[^']+'/g)].flatMap(([line, folder]) =>
        above.includes(folder!) ? [`${path}: ${line}`] : [],
      ),
    )
    expect(found).toEqual([])
  })
})
