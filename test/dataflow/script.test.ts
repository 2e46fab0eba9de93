/** Scripts of data flows: read, printed, and read again. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { planFlow } from '../../ferry/src/dataflow/plan.ts'
import { parseExpression, parseScript } from '../../ferry/src/dataflow/script/parser.ts'
import { printExpression, printScript } from '../../ferry/src/dataflow/script/printer.ts'

/** Without places: a printed script has its own. */
const bare = (tree: unknown): unknown =>
  JSON.parse(JSON.stringify(tree, (key, value) => (key === 'line' || key === 'column' ? undefined : value)))

const SCRIPTS = [
  `source(output(id as integer, {a b} as string, at as timestamp 'yyyy-MM-dd', s as (x as integer, y as string[])[], m as [string,double]), allowSchemaDrift: true, partitionKey: , wildcardPaths:['a/*.csv']) ~> s1`,
  `parameters{\n\tlowest as integer (10),\n\tnames as string[] (['a','b'])\n}\nsource() ~> a /* one */\na split(x > 1 && !(y == 'z') || z <=> "q", disjoint: false) ~> s@(one, two) // end\ns@one select(mapColumn(each(match(type=='string' && startsWith(name,'x')), $$ + '_s' = $$), b = a@c.d), skipDuplicateMapInputs: true) ~> t`,
  `a, b join(a@id == b@id, joinType:'inner', broadcast: 'none')~> j`,
  'a derive(x = -(1 + 2) * 3, y = mapIndex(z, #item + #index), w = @(p = 1, q = [1, 2]), v = ["k" -> 1], t = `a\\d+`, u = 10L + 0xff) ~> d',
  'a aggregate(groupBy(b, c = upper(d)), n = count(), each(match(true()), $$ = first($$))) ~> e',
  "a pivot(groupBy(b), pivotBy(c, ['x', 'y']), {} = sum(d), columnNaming: '$N_$V', lateral: true) ~> p",
]

describe('a script', () => {
  it.each(SCRIPTS)('reads the same when it is printed: %s', text => {
    const read = parseScript(text)
    expect(bare(parseScript(printScript(read)))).toEqual(bare(read))
  })

  it('reads the same whatever its expressions are', () => {
    const name = fc.constantFrom('a', 'b_1', 'größe', 'a b', 'source', 'as')
    const { tree } = fc.letrec(tie => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        name.map(n => ({ kind: 'name', name: n })),
        fc.string().map(value => ({ kind: 'text', value, quote: "'" })),
        fc.nat().map(n => ({ kind: 'number', text: String(n) })),
        fc.tuple(name, tie('tree')).map(([n, of]) => ({ kind: 'member', of, name: n })),
        fc
          .tuple(
            fc.constantFrom('+', '-', '*', '/', '%', '==', '!=', '&&', '||', '<=>', '<', '^'),
            tie('tree'),
            tie('tree'),
          )
          .map(([operator, left, right]) => ({ kind: 'binary', operator, left, right })),
        fc.tuple(fc.constantFrom('-', '!'), tie('tree')).map(([operator, of]) => ({ kind: 'unary', operator, of })),
        fc.array(tie('tree'), { maxLength: 3 }).map(all => ({
          kind: 'call',
          name: 'f',
          args: all.map(value => ({ kind: 'value', value })),
        })),
        fc.array(tie('tree'), { maxLength: 3 }).map(items => ({ kind: 'array', items })),
        fc.tuple(tie('tree'), tie('tree')).map(([of, index]) => ({ kind: 'index', of, index })),
      ),
    }))
    fc.assert(
      fc.property(tree, made => {
        const printed = printExpression(made as never)
        expect(bare(parseExpression(printed))).toEqual(bare(made))
      }),
      { numRuns: 500 },
    )
  })

  const plan = (text: string) => planFlow({ script: parseScript(text), parameters: new Map(), startedAt: '' })
  const source = 'source(output(id as integer, name as string)) ~> s\n'

  it.each([
    [`${source}s filtre(id > 1) ~> f`, 'line 2, column 1: there is no transformation filtre: did you mean filter?'],
    [`${source}t filter(id > 1) ~> f`, 'line 2, column 1: there is no stream t'],
    [`f filter(id > 1) ~> g\n${source}s filter(id > 1) ~> f`, 'the stream f is used before it is defined (line 3)'],
    [`${source}g filter(id > 1) ~> f\nf filter(id > 1) ~> g`, 'g and f wait for each other'],
    [`${source}s filter(id > 1) ~> s`, 'two streams are called s'],
    [`${source}s filter(id + 1) ~> f`, 'filter takes a condition'],
    [`${source}s derive(x = nme) ~> f`, 'line 2, column 14: there is no column nme: did you mean name?'],
    [`${source}s sink(upsertable: true, keys: ['id']) ~> o`, 'no alterRow before it'],
    [`${source}s alterRow(upsertIf(true())) ~> a\na sink(upsertable: true) ~> o`, 'is upsertable, and has no keys'],
    [
      `${source}s alterRow(updateIf(true())) ~> a\na sink(updateable: true, keys: ['no']) ~> o`,
      'has no column no, which is one of its keys',
    ],
    [`${source}s sink(inserteable: true) ~> o`, 'sink has no inserteable that is known here: did you mean insertable?'],
    [`${source}s call(mapColumn(id)) ~> o`, 'external calls do not run here'],
    [`${source}s sink(format: 'inline', store: 'cache', keys: ['no']) ~> o`, 'no column no'],
    [`${source}s sink(store: 'cache', output: true) ~> o`, 'does not run here'],
    [
      `${source}s derive(x = o#lookup(1).name) ~> d\nd sink(store: 'cache', keys: ['id']) ~> o`,
      'waits for a cache that waits for it',
    ],
    [
      `${source}s sink(store: 'cache', keys: ['id']) ~> o\ns derive(x = o#lookup(1, 2).name) ~> d`,
      'takes 1 keys (id), and gets 2',
    ],
    [
      `${source}s sink(store: 'cache') ~> o\ns derive(x = o#lookup(1).name) ~> d`,
      'takes 0 keys (the cache has none), and gets 1',
    ],
    [`${source}s sink(store: 'cache', keys: ['id']) ~> o\ns derive(x = O2#outputs()) ~> d`, 'there is no cache O2'],
    [`${source}s sink(store: 'cache', keys: ['id']) ~> o\ns derive(x = o#find(1)) ~> d`, 'and no find'],
    [`${source}s join(id == 1) ~> o`, 'join takes 2 inputs, and gets 1'],
    [`${source}s filter(id > 1) ~> S`, 'two streams are called s and S'],
    [`${source}s derive(x = constructor(1)) ~> d`, 'there is no function constructor'],
    [
      `${source.replace('name', 'a'.repeat(40))}s select(mapColumn(each(match(regexMatch(name, '(a+)+b'))))) ~> d`,
      'timed out',
    ],
    [
      `${source}s select(mapColumn(each(match(regexMatch(name, '('))))) ~> d`,
      'line 2, column 31: regexMatch: Invalid regular',
    ],
    [
      `${source}s derive(x = ${'substringIndex('.repeat(14)}name${", '-', 1)".repeat(14)}) ~> d`,
      'the expression is too long',
    ],
    [`${source}s filter(id > 1)`, '~> is expected here'],
  ])('is refused before anything runs: %s', (text, message) => {
    expect(() => plan(text)).toThrow(message)
  })
})
