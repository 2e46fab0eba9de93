/**
 * The suite that every store passes. What a kind declares in its abilities is what is tried; a store gives in about ten lines
 * how one of it is made, and which values it may refuse. All else it must take, and give back as it was.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seedOf } from '../../../../test/seed.ts'
import { converter } from '../../batch/convert.ts'
import type { Column, Row, Value } from '../../batch/types.ts'
import { FerryError } from '../../errors.ts'
import type { Store } from '../store.ts'
import { changes } from './changes.ts'
import { commits } from './commits.ts'
import { increments } from './increments.ts'
import { reading } from './reading.ts'
import { readRows, shown, writeRows } from './rows.ts'
import { SAMPLES, type Sample } from './samples.ts'
import { ID, open, type Place, type Subject } from './subject.ts'
import { writing } from './writing.ts'

const seed = seedOf('conformance suite')

export function conformance(name: string, subject: Subject): void {
  const { abilities, tellsChanges } = subject.kind
  describe(name, () => {
    describe('values', () => valuesOf(subject))
    describe.each(abilities.update)('%s', update => {
      writing(subject, update)
      commits(subject, update)
    })
    describe('reading', () => reading(subject))
    describe('increments', () => increments(subject))
    describe.runIf(tellsChanges)('changes', () => changes(subject))
  })
}

/** What no store has to take: half a surrogate pair is no text. */
const isText = (value: Value) => typeof value !== 'string' || value.isWellFormed()

function valuesOf({ make, refuses = {} }: Subject): void {
  it.each(Object.entries(SAMPLES))(
    '%s: each is held exactly, and refused only where the store says so',
    async (key, sample) => {
      const place = await make()
      const store = await open(place)
      const columns: Column[] = [ID, { name: 'v', type: sample.type, nullable: true }]
      const rows = valuesIn(sample).map((v, i): Row => [`r${i}`, v])
      const taken = await takenOf(store, place, columns, rows, (value, error) => {
        const text = shown(value, sample.type)
        expect(error, text.slice(0, 200)).toBeInstanceOf(FerryError)
        expect((error as FerryError).code, (error as FerryError).message.slice(0, 300)).toMatch(
          /^FERRY-(4001|4002|4008|3003)$/,
        )
        expect(
          !isText(value) || (refuses[key]?.(text) ?? false),
          `${key} ${text.slice(0, 200)}: ${(error as Error).message.slice(0, 300)}`,
        ).toBe(true)
      })
      if (taken.length === 0) return
      const made = store.created(columns[1]!, 'test', { object: place.object('t'), options: place.write ?? {} })
      const read = await readRows(store, place.object('t'), place.read ?? {}, [ID, { name: 'v', type: made.type }])
      const convert = converter(sample.type, made.type) ?? (v => v)
      const wanted = new Map(taken.map(row => [row[0], shown(convert(row[1]!), made.type)]))
      expect(new Map(read.map(row => [row[0], shown(row[1]!, made.type)]))).toEqual(wanted)
    },
  )
}

const valuesIn = (sample: Sample): Value[] => [
  null,
  ...sample.extremes,
  ...fc.sample(sample.any, { numRuns: 20, seed }),
]

/** Writes all rows at once, or, where some are refused, those that are not. */
async function takenOf(
  store: Store,
  place: Place,
  columns: Column[],
  rows: Row[],
  onRefused: (value: Value, error: unknown) => void,
): Promise<Row[]> {
  const write = (object: string, some: Row[]) =>
    writeRows(store, place.object(object), place.write ?? {}, columns, some)
  try {
    await write('t', rows)
    return rows
  } catch {
    const taken: Row[] = []
    for (const row of rows) {
      try {
        await write(`one${row[0]}`, [row])
        taken.push(row)
      } catch (error) {
        onRefused(row[1]!, error)
      }
    }
    if (taken.length > 0) await write('t', taken)
    return taken
  }
}
