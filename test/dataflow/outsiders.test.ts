/** Flows that outsiders broke: each gave other rows than it should, and said nothing. */
import { describe, expect, it } from 'vitest'
import type { FlowEnd } from '../../ferry/src/dataflow/run.ts'
import { endOf, rowsOf } from './flows.ts'

const A = `SELECT * FROM (VALUES (1, 'x'), (2, 'y')) t(id, v)`
const K = `SELECT 1 AS id, 'k' AS k`
const source = (name: string, columns: string) => `source(output(${columns}), allowSchemaDrift: true) ~> ${name}\n`
const a = source('A', 'id as integer, v as string')
const k = source('K', 'id as integer, k as string')
const one = (columns: string, row: string) => ({ text: source('s', columns), tables: { s: `SELECT ${row}` } })

async function valueOf(columns: string, row: string, expression: string): Promise<unknown> {
  const { text, tables } = one(columns, row)
  const [found] = await rowsOf(
    `${text}s derive(found = ${expression}) ~> d\nd select(mapColumn(found)) ~> t`,
    tables,
    't',
  )
  return found!.found
}

describe('columns of several streams', () => {
  it('are those of the stream that is named, where one comes of the other', async () => {
    const joined = `${a}A filter(id == 1) ~> B\nB, A join(A@id == B@id, joinType: 'inner') ~> J`
    expect((await rowsOf(joined, { A }, 'J')).length).toBe(1)
  })

  it('of one name stay apart', async () => {
    const text = `${a}${k}A, K join(A@id == K@id, joinType: 'left') ~> J\nJ derive(z = 1, w = byName('id', 'A')) ~> D\nD select(mapColumn(left = A@id, right = K@id, w, k)) ~> S\nS sort(asc(left, true())) ~> T`
    expect(await rowsOf(text, { A, K }, 'T')).toEqual([
      { left: 1, right: 1, w: 1, k: 'k' },
      { left: 2, right: null, w: 2, k: null },
    ])
    const union = `${a}${k}A, K join(A@id == K@id, joinType: 'left') ~> J\nJ, A union(byName: true) ~> U\nU aggregate(n = sum(A@id)) ~> g`
    expect(await rowsOf(union, { A, K }, 'g')).toEqual([{ n: 6 }])
  })

  it('are not those of a structure of that name', async () => {
    const { text, tables } = one('id as integer, s as (id as integer)', `7 AS id, {'id': 1} AS s`)
    const flow = `${text}s filter(true()) ~> t\ns derive(x = s.id) ~> D\nD select(mapColumn(x)) ~> E`
    expect(await rowsOf(flow, tables, 'E')).toEqual([{ x: 1 }])
  })

  it('are known by the streams that they came through, and by where they got their value', async () => {
    const text = `${a}${k}A, K join(A@id == K@id, joinType: 'inner') ~> J\nJ select(mapColumn(each(match(stream == 'A'), 'a_' + $$ = $$), k)) ~> S`
    expect(await rowsOf(text, { A, K }, 'S')).toEqual([{ a_id: 1, a_v: 'x', k: 'k' }])
    const origin = `${a}A derive(v = upper(v)) ~> D\nD select(mapColumn(each(match(origin == 'D'))), skipDuplicateMapInputs: true) ~> S`
    expect((await rowsOf(origin, { A }, 'S'))[0]).toEqual({ v: 'X' })
  })
})

describe('rows by chance', () => {
  const many = { s: 'SELECT i AS id FROM range(500) t(i)' }
  const text = source('s', 'id as long')

  it('go to one branch each', async () => {
    const flow = `${text}s split(random() < 0.5, disjoint: false) ~> X@(a, b)\nX@a, X@b union(byName: true) ~> U\nU aggregate(n = count(), ids = countDistinct(id)) ~> g`
    expect(await rowsOf(flow, many, 'g')).toEqual([{ n: 500, ids: 500 }])
  })

  it('go to a sink in one way each', async () => {
    const flow = `${text}s derive(r = random()) ~> D\nD alterRow(insertIf(r < 0.5), upsertIf(r >= 0.5)) ~> M\nM sink(insertable: true, upsertable: true, keys: ['id']) ~> out`
    const { counts }: FlowEnd = await endOf(flow, many)
    expect(counts.get('sink out insert')! + counts.get('sink out upsert')!).toBe(500)
  })
})

describe('marks and assertions', () => {
  it('keep their meaning where marked rows and others come together', async () => {
    const marked = `${a}A alterRow(deleteIf(true())) ~> M\n`
    const sink = 'U sink(insertable: true, deletable: true, keys: ["id"], skipDuplicateMapInputs: true) ~> out'
    for (const order of ['A, M', 'M, A']) {
      const { counts } = await endOf(`${marked}${order} union(byName: true) ~> U\n${sink}`, { A })
      expect([...counts.entries()].filter(([name]) => name.startsWith('sink'))).toEqual([
        ['sink out insert', 2],
        ['sink out delete', 2],
      ])
    }
  })

  it('stop a flow, also where nobody asks which failed', async () => {
    const flow = `${a}A assert(expectTrue(id > 1, false, 'big'), abort: true) ~> C\nC sink(format: 'table') ~> out`
    await expect(endOf(flow, { A })).rejects.toThrow('the assertion big failed')
  })

  it('pass over nulls where they are told to', async () => {
    const flow = `${a}A assert(expectTrue(v == 'x', true, 'x'), expectUnique(v, true, 'u')) ~> C\nC derive(bad = isError()) ~> D\nD aggregate(bad = countIf(bad)) ~> g`
    expect(await rowsOf(flow, { A: `SELECT 1 AS id, NULL AS v UNION ALL SELECT 2, NULL` }, 'g')).toEqual([{ bad: 0 }])
  })

  it('are asked for where there are none: a fault with its place', async () => {
    for (const name of ['isMatch', 'isInsert', 'isError']) {
      await expect(rowsOf(`${a}A filter(${name}()) ~> f`, { A }, 'f')).rejects.toThrow(
        `line 2, column 10: ${name} needs`,
      )
    }
  })
})

describe('groups', () => {
  const P = { P: `SELECT * FROM (VALUES ('a', 'x', 1), ('a', 'y', 2), ('b', 'y', 5)) t(g, k, n)` }
  const pivot = (how: string) =>
    `${source('P', 'g as string, k as string, n as integer')}P pivot(groupBy(g), pivotBy(k, ['x', 'y']), ${how}, columnNaming: '$N$V') ~> V\nV sort(asc(g, true)) ~> S`

  it.each([
    [
      '{} = first(n)',
      [
        { g: 'a', x: 1, y: 2 },
        { g: 'b', x: null, y: 5 },
      ],
    ],
    [
      '{} = collect(n)',
      [
        { g: 'a', x: [1], y: [2] },
        { g: 'b', x: null, y: [5] },
      ],
    ],
    [
      '{} = sum(1)',
      [
        { g: 'a', x: 1, y: 1 },
        { g: 'b', x: null, y: 1 },
      ],
    ],
    [
      '{} = sum(iifNull(n, 100))',
      [
        { g: 'a', x: 1, y: 2 },
        { g: 'b', x: null, y: 5 },
      ],
    ],
    [
      '{} = count()',
      [
        { g: 'a', x: 1, y: 1 },
        { g: 'b', x: null, y: 1 },
      ],
    ],
    [
      "each(match(type == 'integer'), $$ + '_' = sum($$))",
      [
        { g: 'a', n_x: 1, n_y: 2 },
        { g: 'b', n_x: null, n_y: 5 },
      ],
    ],
  ])('of a pivot have the rows of their key alone: %s', async (how, wanted) => {
    expect(await rowsOf(pivot(how), P, 'S')).toEqual(wanted)
  })

  it('collect no nulls', async () => {
    const flow = `${source('P', 'n as integer')}P aggregate(l = collect(n)) ~> g`
    expect(await rowsOf(flow, { P: 'SELECT 1 AS n UNION ALL SELECT NULL' }, 'g')).toEqual([{ l: [1] }])
    expect(await rowsOf(flow, { P: 'SELECT NULL::INT AS n' }, 'g')).toEqual([{ l: [] }])
  })

  it('become rows in the types that are asked for', async () => {
    const text = `${source('m', 'id as integer, {2019} as integer, {2020} as string')}m unpivot(output(year as integer, n as decimal(10,2)), ungroupBy(id)) ~> u\nu sort(asc(year, true)) ~> s`
    expect(await rowsOf(text, { m: `SELECT 1 AS id, 5 AS "2019", '6.5' AS "2020"` }, 's')).toEqual([
      { id: 1, year: 2019, n: 5 },
      { id: 1, year: 2020, n: 6.5 },
    ])
  })
})

describe('arrays', () => {
  const tables = { s: 'SELECT i AS id, [1, 2, 3] AS xs, [i, 9] AS ys FROM range(2) t(i)' }
  const text = source('s', 'id as long, xs as integer[], ys as long[]')

  it('are unrolled one after the other, in their order', async () => {
    const flow = `${text}s foldDown(unroll(xs), unroll(ys), mapColumn(id, x = xs, y = ys)) ~> f`
    const rows = await rowsOf(flow, tables, 'f')
    expect(rows.length).toBe(12)
    expect(rows.slice(0, 4)).toEqual([
      { id: 0, x: 1, y: 0 },
      { id: 0, x: 1, y: 9 },
      { id: 0, x: 2, y: 0 },
      { id: 0, x: 2, y: 9 },
    ])
    expect(Object.keys((await rowsOf(`${text}s foldDown(unroll(xs)) ~> f`, tables, 'f'))[0]!)).toEqual([
      'id',
      'xs',
      'ys',
    ])
    await expect(rowsOf(`${text}s foldDown(unroll(xs, ys)) ~> f`, tables, 'f')).rejects.toThrow('unroll root')
  })

  it.each([
    ['map(xs, #item + item_1)', [11, 30]],
    ['filter(xs, #item > item_1)', [20]],
    ['distinct(x)', [3]],
    ['intersect(i, xs)', [1]],
    ['sort(xs, compare(#item1 * i0, #item2 * i0))', [20, 1]],
  ])('know their items from columns: %s', async (expression, wanted) => {
    const columns = 'item_1 as integer, xs as integer[], x as integer[], i as integer[], i0 as integer'
    expect(await valueOf(columns, '10 AS item_1, [1, 20] AS xs, [3, 3] AS x, [1] AS i, -1 AS i0', expression)).toEqual(
      wanted,
    )
  })
})

describe('names', () => {
  it('by patterns and parameters', async () => {
    const text = `parameters{ n as integer (1), b as boolean (true()) }\n${a}A select(mapColumn(each(match(and($b, position == $n)), "pre_{$$}" = $$), each(match(regexMatch(name, '(?i)V')), trim('_v_', '_') = $$))) ~> S`
    expect((await rowsOf(text, { A }, 'S'))[0]).toEqual({ pre_id: 1, v: 'x' })
  })

  it('that differ in case alone', async () => {
    const text = `${source('c', 'ID as integer')}c keyGenerate(output(id as long)) ~> g`
    expect(await rowsOf(text, { c: 'SELECT 7 AS "ID"' }, 'g')).toEqual([{ ID: 7, id_2: 1 }])
    await expect(endOf(`${text}\ng sink(format: 'table') ~> o`, { c: 'SELECT 7 AS "ID"' })).rejects.toThrow(
      'in case alone',
    )
  })
})

describe('values', () => {
  it.each([
    ['x as any', `'q' AS x`, "x + 'b'", 'qb'],
    [
      's as (a as integer), t as (a as long, b as string)',
      `{'a': 1} AS s, {'a': 5000000000, 'b': 'c'} AS t`,
      'iif(false(), s, t)',
      { a: 5000000000, b: 'c' },
    ],
    [
      's as (a as integer), t as (a as long, b as string)',
      `{'a': 1} AS s, {'a': 2, 'b': 'c'} AS t`,
      '[s, t]',
      [
        { a: 1, b: null },
        { a: 2, b: 'c' },
      ],
    ],
    ['n as long', '9007199254740992 AS n', "n == '9007199254740993'", false],
    ['p as decimal(38,30)', `1.5 AS p`, 'p < 2000000000', true],
    ['a as string', `'2020-01-01T10:00:00+02:00' AS a`, 'toTimestamp(a)', '2020-01-01 08:00:00'],
    ['a as string', `'2020-01-01T10:00:00Z' AS a`, `toTimestamp(a, "yyyy-MM-dd'T'HH:mm:ssXXX")`, '2020-01-01 10:00:00'],
    ['a as string', `'1e3' AS a`, 'toInteger(a)', null],
    ['a as string', `'hello' AS a`, 'substring(a, 0, 2)', 'he'],
    ['a as string', `'hello' AS a`, 'substring(a, 3, -1)', ''],
    ['a as double', '1.005 AS a', 'round(a, 2)', 1.01],
    ['a as double', '1.255 AS a', 'toDecimal(a, 10, 2)', 1.26],
    ['a as string', `'100%' AS a`, "like(a, '100\\\\%')", true],
    ['a as string', `'{"k":"v"}' AS a`, 'a ? [string,string]', { k: 'v' }],
  ])('%s, %s: %s', async (columns, row, expression, wanted) => {
    expect(await valueOf(columns, row, expression)).toEqual(wanted)
  })

  it('of a source that is limited are no more', async () => {
    const text = a.replace('allowSchemaDrift: true', 'limit: 1')
    expect((await rowsOf(`${text}A filter(true()) ~> f`, { A }, 'f')).length).toBe(1)
  })
})
