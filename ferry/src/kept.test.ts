/** Forms that are kept: as they are now, as they were before they had versions, and as a newer Ferry may write them. */
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { feedPieces, pieces } from './connectors/cosmos/table.ts'
import { logMarks as mysqlMarks } from './connectors/mysql/log.ts'
import { logMarks as postgresMarks } from './connectors/postgres/log.ts'
import { tablePlans } from './engine/keptplan.ts'
import { KeptForm } from './kept.ts'

describe('a form', () => {
  const form = new KeptForm('place', z.object({ at: z.number(), of: z.string() }), [
    old => ({ at: (old as { at: string }).at, of: 'all' }),
    old => ({ ...(old as object), at: Number((old as { at: string }).at) }),
  ])

  it('is read as it was written, without what does not belong to it', () => {
    expect(form.read(form.write({ at: 1, of: 'x', more: 1 } as never))).toEqual({ at: 1, of: 'x' })
  })

  it('is brought up to date from every version before', () => {
    expect(form.read('{"at":"7"}')).toEqual({ at: 7, of: 'all' })
    expect(form.read('{"form":"place","version":1,"value":{"at":"7","of":"x"}}')).toEqual({ at: 7, of: 'x' })
  })

  it.each([
    ['{"form":"place","version":3,"value":{}}', /of version 3; this Ferry knows 2/],
    ['{"form":"place","version":2,"value":{"at":"x","of":"y"}}', /at must be a number/],
    ['{"form":"other","version":1,"value":{}}', /it is none/],
    ['12:34', /it is none/],
  ])('says why it cannot be read: %s', (text, why) => {
    expect(() => form.read(text)).toThrow(why)
    expect(() => form.read(text)).toThrow(expect.objectContaining({ code: 'FERRY-5015' }))
  })
})

/** As states hold them that were written before forms had versions. */
describe('of a state of an older version', () => {
  it('the places in the logs are told apart from one another, and from highest values', () => {
    const postgres = '{"slot":"ferry_a_1","lsn":"0/1A2B3C"}'
    const postgresTable = '{"slot":"ferry_a_1","lsn":"0/1A2B3C","table":{"oid":16384,"columns":[[1,"id","bigint"]]}}'
    const mysql = '{"server":"1","base":"binlog.","place":"12:345","columns":[["id","bigint(20)",""]]}'
    const highest = '{"value":"2026-01-01","ties":3}'
    expect(postgresMarks.find(postgres)).toEqual({ slot: 'ferry_a_1', lsn: '0/1A2B3C' })
    expect(postgresMarks.find(postgresTable)?.table?.columns).toEqual([[1, 'id', 'bigint']])
    expect(mysqlMarks.find(mysql)).toMatchObject({ place: '12:345' })
    for (const other of [mysql, highest, '[]', 'null']) expect(postgresMarks.find(other)).toBeUndefined()
    for (const other of [postgres, highest, '[]', 'null']) expect(mysqlMarks.find(other)).toBeUndefined()
    // As they are now, too.
    expect(mysqlMarks.find(postgresMarks.write({ slot: 's', lsn: '0/1' }))).toBeUndefined()
    expect(postgresMarks.find(mysqlMarks.write({ server: '1', base: 'b.', place: '1:4' }))).toBeUndefined()
  })

  it('plans name what becomes of fields that do not fit, instead of who reads them', () => {
    const shape = { ordinal: 0, from: 'a', to: 'b', guarantee: '', passedOver: [], statements: [], notes: [] }
    const read = { object: 'a', options: {}, columns: [], splitBytes: 1, skipBadRows: false }
    const write = { object: 'b', options: {}, ordinal: 0, columns: [], keys: [], update: 'append', truncate: false }
    const requests = { read, write: { ...write, before: [], after: [], skipBadRows: false }, onRowError: 'fail' }
    const kept = (offer: object) => JSON.stringify({ ...shape, ...requests, offer })
    const csv = { encoding: 'csv', types: [], dialect: 'any' }
    expect(tablePlans.read(kept({ ...csv, parser: 'postgres' })).offer).toEqual({ ...csv, misfits: 'refused' })
    const version = JSON.stringify({
      form: 'plan of a table',
      version: 1,
      value: JSON.parse(kept({ ...csv, parser: 'none' })),
    })
    expect(tablePlans.read(version).offer).toEqual({ ...csv, misfits: 'kept' })
    expect(tablePlans.read(kept({ encoding: 'pg-copy-text', wire: ['int4'] })).offer.encoding).toBe('pg-copy-text')
    expect(() => tablePlans.read(kept({ encoding: 'tape' }))).toThrow(expect.objectContaining({ code: 'FERRY-5015' }))
    expect(() => tablePlans.read(kept({ encoding: 'pg-copy-text' }))).toThrow(/cannot be read/)
  })

  it('the parts of a container', () => {
    const piece = { low: '', high: '05C1', continuation: '"12"' }
    expect(pieces.read(JSON.stringify([piece]))).toEqual([piece])
    expect(feedPieces.read(JSON.stringify([{ ...piece, until: 12, follows: true }]))).toEqual([
      { ...piece, until: 12, follows: true },
    ])
  })
})
