/** Transformations of data flows: the rows that they give. */
import { describe, expect, it } from 'vitest'
import { rowsOf } from './flows.ts'

const SALES = `SELECT * FROM (VALUES (1, 'eu', 'a', 10.0), (2, 'eu', 'b', 20.0), (3, 'us', 'a', 5.0), (4, NULL, 'a', NULL)) t(id, zone, sku, total)`
const source = (name: string, columns: string) => `source(output(${columns}), allowSchemaDrift: true) ~> ${name}\n`
const sales = source('sales', 'id as integer, zone as string, sku as string, total as double')

const found = (text: string, stream: string, tables: Record<string, string> = { sales: SALES }) =>
  rowsOf(text, tables, stream)
const column = async (text: string, stream: string, name: string, tables?: Record<string, string>) =>
  (await found(text, stream, tables)).map(row => row[name])

describe('rows', () => {
  it('are chosen: a condition that is null leaves a row out', async () => {
    expect(await column(`${sales}sales filter(total > 5) ~> f`, 'f', 'id')).toEqual([1, 2])
  })

  it('are split: into the first branch that takes them, or into each', async () => {
    const split = (disjoint: boolean) =>
      `${sales}sales split(total >= 10, zone == 'eu', disjoint: ${disjoint}) ~> s@(rich, eu, rest)\n`
    expect(await column(split(false), 's@rich', 'id')).toEqual([1, 2])
    expect(await column(split(false), 's@eu', 'id')).toEqual([])
    expect(await column(split(true), 's@eu', 'id')).toEqual([1, 2])
    expect(await column(split(false), 's@rest', 'id')).toEqual([3, 4])
  })

  it('are sorted, with nulls where they are wanted', async () => {
    expect(await column(`${sales}sales sort(desc(total, true)) ~> s`, 's', 'id')).toEqual([4, 2, 1, 3])
    expect(await column(`${sales}sales sort(asc(zone, false), desc(id, false)) ~> s`, 's', 'id')).toEqual([2, 1, 3, 4])
  })

  it('get keys, and know which assertions they fail', async () => {
    expect(
      await column(`${sales}sales keyGenerate(output(key as long), startAt: 10L, stepValue: 5L) ~> k`, 'k', 'key'),
    ).toEqual([10, 15, 20, 25])
    const text = `${sales}sales assert(expectTrue(!isNull(total), false, 'hasTotal', null, 'no total'), expectUnique(sku, false, 'oneSku')) ~> a
a derive(bad = isError(), noTotal = hasError('hasTotal'), twice = hasError('oneSku')) ~> d
d select(mapColumn(id, bad, noTotal, twice)) ~> s`
    expect((await found(text, 's')).sort((a, b) => Number(a.id) - Number(b.id))).toEqual([
      { id: 1, bad: true, noTotal: false, twice: true },
      { id: 2, bad: false, noTotal: false, twice: false },
      { id: 3, bad: true, noTotal: false, twice: true },
      { id: 4, bad: true, noTotal: true, twice: true },
    ])
  })
})

describe('columns', () => {
  it('are made, by patterns too', async () => {
    const text = `${sales}sales derive(id = id + 1, before = id, each(match(type == 'string'), $$ + '_up' = upper($$))) ~> d`
    expect((await found(text, 'd'))[0]).toEqual({
      id: 2,
      zone: 'eu',
      sku: 'a',
      total: 10,
      before: 1,
      zone_up: 'EU',
      sku_up: 'A',
    })
  })

  it('are chosen and renamed, by patterns too', async () => {
    const text = `${sales}sales select(mapColumn(number = id, each(match(name != 'id' && type == 'string'), 'x_' + $$ = $$)), skipDuplicateMapInputs: true, skipDuplicateMapOutputs: true) ~> s`
    expect((await found(text, 's'))[0]).toEqual({ number: 1, x_zone: 'eu', x_sku: 'a' })
  })

  it('are parsed and written as JSON', async () => {
    const tables = { docs: `SELECT 1 AS id, '{"a":{"b":[1,2]},"c":"x"}' AS body UNION ALL SELECT 2, 'no JSON'` }
    const text = `${source('docs', 'id as integer, body as string')}docs parse(json = body ? (a as (b as integer[]), c as string), format: 'json', documentForm: 'singleDocument') ~> p
p derive(last = json.a.b[2], c = json.c) ~> d
d stringify(text = json.a ? string, format: 'json') ~> s
s select(mapColumn(id, last, c, text)) ~> t`
    expect(await found(text, 't', tables)).toEqual([
      { id: 1, last: 2, c: 'x', text: '{"b":[1,2]}' },
      { id: 2, last: null, c: null, text: null },
    ])
  })

  it('come of arrays: a row for each element', async () => {
    const tables = {
      orders: `SELECT 1 AS id, [{'sku': 'a', 'tags': ['x', 'y']}, {'sku': 'b', 'tags': []}] AS lines UNION ALL SELECT 2, []`,
    }
    const text = `${source('orders', 'id as integer, lines as (sku as string, tags as string[])[]')}orders foldDown(unroll(lines.tags), mapColumn(id, sku = lines.sku, tag = lines.tags), skipDuplicateMapInputs: false) ~> f
orders foldDown(unroll(lines), mapColumn(id, sku = lines.sku)) ~> g`
    const rows = await found(text, 'f', tables)
    expect(rows.sort((a, b) => String(a.tag).localeCompare(String(b.tag)))).toEqual([
      { id: 1, sku: 'b', tag: null },
      { id: 2, sku: null, tag: null },
      { id: 1, sku: 'a', tag: 'x' },
      { id: 1, sku: 'a', tag: 'y' },
    ])
    expect((await found(text, 'g', tables)).length).toBe(3)
  })
})

describe('streams', () => {
  const tables = {
    sales: SALES,
    zones: `SELECT * FROM (VALUES ('eu', 'Europe', 2), ('eu', 'EU', 1), ('as', 'Asia', 1)) t(zone, name, rank)`,
  }
  const both = `${sales}${source('zones', 'zone as string, name as string, rank as integer')}`

  it.each([
    ['inner', 4],
    ['left', 6],
    ['right', 5],
    ['outer', 7],
  ])('are joined: %s', async (type, count) => {
    const text = `${both}sales, zones join(sales@zone == zones@zone, joinType: '${type}', broadcast: 'auto') ~> j\nj select(mapColumn(id, sold = sales@zone, known = zones@zone, name)) ~> s`
    const rows = await found(text, 's', tables)
    expect(rows.length).toBe(count)
    expect(rows.every(r => r.sold === null || r.known === null || r.sold === r.known)).toBe(true)
  })

  it('are looked up: the first by an order, the last, or all', async () => {
    const text = (how: string) => `${both}sales, zones lookup(sales@zone == zones@zone, ${how}) ~> l
l derive(hit = isMatch()) ~> d\nd select(mapColumn(id, name, hit)) ~> t\nt sort(asc(id, true)) ~> s`
    expect(await found(text(`multiple: false, pickup: 'first', asc(rank, true)`), 's', tables)).toEqual([
      { id: 1, name: 'EU', hit: true },
      { id: 2, name: 'EU', hit: true },
      { id: 3, name: null, hit: false },
      { id: 4, name: null, hit: false },
    ])
    expect(await column(text(`multiple: false, pickup: 'last', asc(rank, true)`), 's', 'name', tables)).toEqual([
      'Europe',
      'Europe',
      null,
      null,
    ])
    expect((await found(text('multiple: true'), 's', tables)).length).toBe(6)
  })

  it('are kept where another one has a row, or has none', async () => {
    const text = (negate: boolean) => `${both}sales, zones exists(sales@zone == zones@zone, negate: ${negate}) ~> e`
    expect(await column(text(false), 'e', 'id', tables)).toEqual([1, 2])
    expect(await column(text(true), 'e', 'id', tables)).toEqual([3, 4])
  })

  it('are put together by name, and by place', async () => {
    const named = `${both}sales, zones union(byName: true) ~> u`
    expect(await found(`${named}\nu filter(isNull(id) && rank == 2) ~> f`, 'f', tables)).toEqual([
      { id: null, zone: 'eu', sku: null, total: null, name: 'Europe', rank: 2 },
    ])
    const placed = `${both}zones select(mapColumn(name, zone)) ~> z\nsales select(mapColumn(zone, sku)) ~> s\nz, s union(byName: false) ~> u`
    expect((await found(placed, 'u', tables)).length).toBe(7)
  })
})

describe('groups', () => {
  it('are summed up, by patterns too', async () => {
    const text = `${sales}sales aggregate(groupBy(zone), n = count(), some = count(total), each(match(type == 'double'), $$ + '_sum' = sum($$)), skus = collect(sku), many = countIf(total > 5)) ~> a\na sort(asc(zone, true)) ~> s`
    expect(await found(text, 's')).toEqual([
      { zone: null, n: 1, some: 0, total_sum: null, skus: ['a'], many: 0 },
      { zone: 'eu', n: 2, some: 2, total_sum: 30, skus: ['a', 'b'], many: 2 },
      { zone: 'us', n: 1, some: 1, total_sum: 5, skus: ['a'], many: 0 },
    ])
  })

  it('of nothing are one row', async () => {
    expect(
      await found(`${sales}sales filter(false()) ~> f\nf aggregate(n = count(), t = sum(total)) ~> a`, 'a'),
    ).toEqual([{ n: 0, t: null }])
  })

  it('keep one row of each: the pattern that removes what comes twice', async () => {
    const text = `${sales}sales aggregate(groupBy(mysku = sku), each(match(true()), $$ = first($$))) ~> d\nd sort(asc(mysku, true)) ~> s`
    expect(await found(text, 's')).toEqual([
      { mysku: 'a', id: 1, zone: 'eu', sku: 'a', total: 10 },
      { mysku: 'b', id: 2, zone: 'eu', sku: 'b', total: 20 },
    ])
  })

  it('become columns, and columns rows', async () => {
    const pivot = `${sales}sales pivot(groupBy(zone), pivotBy(sku, ['a', 'b']), t = sum(total), columnNaming: '$N_$V', lateral: true) ~> p\np sort(asc(zone, true)) ~> s`
    expect(await found(pivot, 's')).toEqual([
      { zone: null, t_a: null, t_b: null },
      { zone: 'eu', t_a: 10, t_b: 20 },
      { zone: 'us', t_a: 5, t_b: null },
    ])
    const tables = { months: 'SELECT 1 AS id, 5 AS jan, NULL::INT AS feb, 7 AS mar' }
    const unpivot = `${source('months', 'id as integer, jan as integer, feb as integer, mar as integer')}months unpivot(output(month as string, n as integer), ungroupBy(id), lateral: true, ignoreNullPivots: true) ~> u\nu sort(asc(n, true)) ~> s`
    expect(await found(unpivot, 's', tables)).toEqual([
      { id: 1, month: 'jan', n: 5 },
      { id: 1, month: 'mar', n: 7 },
    ])
  })
})

describe('windows', () => {
  const days = {
    days: `SELECT * FROM (VALUES (1, 'x', 1.0), (2, 'x', NULL), (3, 'x', 3.0), (4, 'y', 8.0)) t(day, shop, v)`,
  }
  const text = source('days', 'day as integer, shop as string, v as double')

  it('fill down what is null, and give moving averages', async () => {
    const filled = `${text}days derive(one = 1) ~> d\nd window(over(one), asc(day, true), v = coalesce(v, last(v, true()))) ~> w\nw sort(asc(day, true)) ~> s`
    expect(await column(filled, 's', 'v', days)).toEqual([1, 1, 3, 8])
    const moving = `${text}days window(over(shop), asc(day, true), startRowOffset: -1L, endRowOffset: 1L, mean = round(avg(v), 2)) ~> w\nw sort(asc(day, true)) ~> s`
    expect(await column(moving, 's', 'mean', days)).toEqual([1, 2, 3, 8])
  })

  it('number rows, and look at those before and behind', async () => {
    const all = `${text}days window(over(shop), desc(day, true), n = rowNumber(), r = rank(), before = lag(day, 1), behind = lead(day, 1)) ~> w\nw sort(asc(day, true)) ~> s\ns select(mapColumn(day, n, r, before, behind)) ~> t`
    expect(await found(all, 't', days)).toEqual([
      { day: 1, n: 3, r: 3, before: 2, behind: null },
      { day: 2, n: 2, r: 2, before: 3, behind: 1 },
      { day: 3, n: 1, r: 1, before: null, behind: 2 },
      { day: 4, n: 1, r: 1, before: null, behind: null },
    ])
    const rank = `${text}days rank(desc(shop, true), output(place as long), dense: true) ~> r\nr sort(asc(day, true)) ~> s`
    expect(await column(rank, 's', 'place', days)).toEqual([2, 2, 2, 1])
  })
})

describe('a source', () => {
  it('is read in the types of its projection; what drifts comes behind, and what is missing is null', async () => {
    const tables = {
      raw: `SELECT '7' AS id, '31/12/2026' AS day, '$1,234.50' AS price, 'more' AS extra UNION ALL SELECT 'x', 'never', '', NULL`,
    }
    const text = `source(output(id as integer, day as date 'dd/MM/yyyy', price as decimal(10,2) '$###,###.00', gone as boolean), allowSchemaDrift: true) ~> raw\nraw derive(e = byName('extra')) ~> d`
    expect(await found(text, 'd', tables)).toEqual([
      { id: 7, day: '2026-12-31', price: 1234.5, gone: null, extra: 'more', e: 'more' },
      { id: null, day: null, price: null, gone: null, extra: null, e: null },
    ])
    await expect(found(text.replace('allowSchemaDrift', 'validateSchema'), 'd', tables)).rejects.toThrow(
      'no column gone',
    )
  })
})

describe('caches', () => {
  const prices = source('prices', 'id as integer, name as string, price as decimal(10,2)')
  const tables = {
    sales: SALES,
    prices:
      "SELECT * FROM (VALUES (1, 'one', 1.50::DECIMAL(10,2)), (2, 'two', 2.50::DECIMAL(10,2)), (2, 'zwei', 9.00::DECIMAL(10,2))) t(id, name, price)",
  }

  it('are looked up by their keys, whatever their columns are called, and as a whole', async () => {
    // The sink stands behind those that look it up, as in scripts of the designer.
    const text = `${sales}${prices}sales derive(
  price = known#lookup(id).price, none = isNull(known#lookup(99)), all = size(known#mlookup(id)), names = known#mlookup(id).name) ~> d
sales filter(id <= toInteger(first2#output().price) && size(known#outputs()) == 3) ~> f
prices filter(name == 'two') ~> two
prices sink(validateSchema: false, keys: ['id'], store: 'cache', format: 'inline', output: false, saveOrder: 1) ~> known
two sink(store: 'cache', format: 'inline', mapColumn(id, price)) ~> first2`
    const rows = (await found(text, 'd', tables)).map(({ id, price, none, all, names }) => ({
      id,
      price,
      none,
      all,
      names,
    }))
    const by = (a: { id: unknown }, b: { id: unknown }) => Number(a.id) - Number(b.id)
    expect(rows.sort(by).map(({ price: _, names, ...r }) => ({ ...r, names: (names as string[]).sort() }))).toEqual([
      { id: 1, none: true, all: 1, names: ['one'] },
      { id: 2, none: true, all: 2, names: ['two', 'zwei'] },
      { id: 3, none: true, all: 0, names: [] },
      { id: 4, none: true, all: 0, names: [] },
    ])
    expect(rows[0]!.price).toBe(1.5)
    expect([2.5, 9]).toContain(rows[1]!.price)
    expect(rows[3]!.price).toBeNull()
    expect(await column(text, 'f', 'id', tables)).toEqual([1, 2])
  })

  it('may look up others, in aggregates, windows and joins too', async () => {
    const text = `${sales}${prices}prices sink(store: 'cache', keys: ['id']) ~> known
prices derive(again = known#lookup(id).price * 2) ~> doubled
doubled sink(store: 'cache', keys: ['id']) ~> twice
sales aggregate(groupBy(zone), total = sum(twice#lookup(1).again), n = count()) ~> sums
sales, prices join(sales@id == prices@id && known#lookup(prices@id).price < 2, joinType: 'inner') ~> joined
joined select(mapColumn(id = sales@id)) ~> ids`
    const sums = await found(text, 'sums', tables)
    expect(sums.map(r => [r.zone, Number(r.total)]).sort()).toEqual(
      [
        ['eu', 6],
        ['us', 3],
        [null, 3],
      ].sort(),
    )
    expect(await column(text, 'ids', 'id', tables)).toEqual([1])
  })
})
