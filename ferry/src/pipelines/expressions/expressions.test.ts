/** Expressions: each example of the documentation as a fact, the parser by properties, and hostile input. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import functions from '../../../../test/adf/functions.json' with { type: 'json' }
import syntax from '../../../../test/adf/syntax.json' with { type: 'json' }
import { evaluateText, type Scope } from './evaluate.ts'
import { type Expression, parseExpression, printExpression } from './parser.ts'
import { printValue, sameValue, type Value, type ValueObject, valueOf, xmlText } from './values.ts'

const NOTHING: Scope = { functions: new Map() }
const evaluate = (expression: string) => evaluateText(`@${expression}`, NOTHING)

/** Values of XML as their text, as the documentation draws them. */
function drawn(value: Value): Value {
  return Array.isArray(value) ? value.map(drawn) : (xmlText(value) ?? value)
}

interface Fact {
  expression: string
  result?: unknown
  shape?: string
  error?: boolean
  /** What the documentation prints, where that cannot be, and why. */
  printed?: unknown
  because?: string
}

describe('documented examples', () => {
  it.each(functions as Fact[])('$expression', ({ expression, result, shape, error }) => {
    if (error)
      expect(() => evaluate(expression)).toThrow(expect.objectContaining({ code: expect.stringMatching(/700[23]/) }))
    else if (shape !== undefined) expect(String(evaluate(expression))).toMatch(new RegExp(shape))
    else expect(sameValue(drawn(evaluate(expression)), valueOf(result)), printValue(evaluate(expression))).toBe(true)
  })

  it('differ in few places, each for a reason', () => {
    const different = (functions as Fact[]).filter(f => f.printed !== undefined)
    expect(different.every(f => f.because!.length > 5)).toBe(true)
    expect(different.length).toBeLessThan(40)
  })
})

interface SyntaxFact {
  template: string
  result?: unknown
  shape?: string
  error?: boolean
  [given: string]: unknown
}

describe('the language', () => {
  it.each(syntax as SyntaxFact[])('$template', ({ template, result, shape, error, ...given }) => {
    const named = (all: unknown) => (args: Value[]) => (valueOf(all) as ValueObject)[args[0] as string]!
    const scope: Scope = {
      functions: new Map<string, (args: Value[]) => Value>([
        [
          'pipeline',
          () => valueOf({ parameters: given.parameters ?? {}, TriggerTime: '2024-01-31T08:00:00.0000000Z' }),
        ],
        ['parameters', named(given.parameters)],
        ['variables', named(given.variables)],
        ['activity', named(given.activities)],
        ['dataset', () => valueOf(given.dataset)],
        ['trigger', () => valueOf(given.trigger)],
        ['item', () => valueOf(given.item)],
      ]),
    }
    if (error) expect(() => evaluateText(template, scope)).toThrow()
    else if (shape !== undefined) expect(String(evaluateText(template, scope))).toMatch(new RegExp(shape))
    else expect(evaluateText(template, scope)).toEqual(valueOf(result))
  })

  it('keeps integers of 64 bits', () => {
    expect(evaluate('add(9007199254740993, 1)')).toBe(9007199254740994n)
    expect(printValue(evaluate(`json('{"id": 9007199254740993, "price": 2.0}')`))).toBe(
      '{"id":9007199254740993,"price":2.0}',
    )
    expect(() => evaluate('mul(9007199254740993, 9007199254740993)')).toThrow(/more than 64 bits/)
  })

  it('divides integers as integers, and floats as floats', () => {
    expect(evaluate('div(7, 2)')).toBe(3n)
    expect(evaluate('div(-7, 2)')).toBe(-3n)
    expect(evaluate('div(7.0, 2)')).toBe(3.5)
    expect(() => evaluate('div(7, 0)')).toThrow(/the divisor is 0/)
  })

  it('writes values within texts as .NET does', () => {
    const text = (expression: string) => evaluateText(`@{${expression}}`, NOTHING)
    expect(text('true')).toBe('True')
    expect(text('null')).toBe('')
    expect(text('1.0')).toBe('1')
    expect(text('1e20')).toBe('1E+20')
    expect(text('0.00001234')).toBe('1.234E-05')
    expect(text('createArray(1, true)')).toBe('[1,true]')
  })

  it('leaves what is not needed unevaluated', () => {
    expect(evaluate('if(true, 1, div(1, 0))')).toBe(1n)
    expect(evaluate("and(false, bool('x'))")).toBe(false)
    expect(evaluate("coalesce(null, 'a', int('x'))")).toBe('a')
  })

  it('finds properties in any case, and those that are there exactly first', () => {
    expect(evaluate(`json('{"Id": 1}').id`)).toBe(1n)
    expect(evaluate(`json('{"Id": 1, "id": 2}').id`)).toBe(2n)
    expect(() => evaluate(`json('{"a": 1}')['constructor']`)).toThrow(/no property constructor/)
    expect(() => evaluate(`json('{"a": 1}').__proto__`)).toThrow(/no property __proto__/)
  })
})

describe('dates', () => {
  const zones: [string, string][] = [
    ["convertToUtc('2024-03-31T03:30:00', 'W. Europe Standard Time')", '2024-03-31T01:30:00.0000000Z'],
    // The hour that occurs twice is that of standard time.
    ["convertToUtc('2024-10-27T02:30:00', 'W. Europe Standard Time')", '2024-10-27T01:30:00.0000000Z'],
    ["convertFromUtc('2024-07-01T12:00:00Z', 'India Standard Time')", '2024-07-01T17:30:00.0000000'],
    ["convertTimeZone('2024-07-01T12:00:00', 'Tokyo Standard Time', 'UTC')", '2024-07-01T03:00:00.0000000'],
    ["addToTime('2024-01-31T00:00:00Z', 1, 'Month')", '2024-02-29T00:00:00.0000000Z'],
    ["addDays('2024-02-28T10:11:12.1234567Z', 1.5)", '2024-02-29T22:11:12.1234567Z'],
    ["formatDateTime('2024-02-28T10:11:12.1234567+02:00')", '2024-02-28T08:11:12.1234567Z'],
    ["formatDateTime('2024-02-03', 'dddd d MMMM yyyy', 'fr-FR')", 'samedi 3 février 2024'],
    ["formatDateTime('2024-02-03T15:04:05', 'h:mm tt')", '3:04 PM'],
    ["formatDateTime('2024-02-03T15:04:05', 'G')", '2/3/2024 3:04:05 PM'],
    ["formatDateTime('2024-02-03T15:04:05Z', 'R')", 'Sat, 03 Feb 2024 15:04:05 GMT'],
    ["formatDateTime('2024-02-03T15:04:05', 'yyyyMMdd''T''HHmmss')", '20240203T150405'],
    ["formatDateTime('15 March 2018 12:00', 's')", '2018-03-15T12:00:00'],
  ]
  it.each(zones)('%s is %s', (expression, expected) => expect(evaluate(expression)).toBe(expected))

  it('are refused where they would have to be guessed', () => {
    expect(() => evaluate("formatDateTime('1/2/24')")).toThrow(/no date and time/)
    expect(() => evaluate("formatDateTime('2024-02-30')")).toThrow(/no date and time/)
    expect(() => evaluate("convertToUtc('2024-03-31T02:30:00', 'W. Europe Standard Time')")).toThrow(
      /leave this time out/,
    )
    expect(() => evaluate("convertFromUtc('2024-03-31T02:30:00', 'Pacific Standart Time')")).toThrow(
      /no time zone "Pacific Standart Time": did you mean Pacific Standard Time/,
    )
    expect(() => evaluate("addDays('9999-12-31', 1)")).toThrow(/years 1 to 9999/)
  })
})

const name = fc.stringMatching(/^[a-z][A-Za-z0-9]{0,6}$/).filter(n => !/^(true|false|null)$/i.test(n))
const literal = fc
  .oneof(
    fc.string(),
    fc.constantFrom(null, true, false),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.double({ noNaN: true, noDefaultInfinity: true }).filter(n => !Object.is(n, -0)),
  )
  .map((value): Expression => ({ kind: 'literal', value, at: 0 }))
/** Properties are those of what a call gives. */
const asHolder = (e: Expression): Expression =>
  e.kind === 'literal' ? { kind: 'call', name: 'of', args: [e], at: 0 } : e
const { expression } = fc.letrec<{ expression: Expression }>(tie => ({
  expression: fc.oneof(
    { maxDepth: 4 },
    literal,
    fc.record({
      kind: fc.constant('call' as const),
      name,
      args: fc.array(tie('expression'), { maxLength: 3 }),
      at: fc.constant(0),
    }),
    fc.record({
      kind: fc.constant('member' as const),
      of: tie('expression').map(asHolder),
      name,
      optional: fc.boolean(),
      at: fc.constant(0),
    }),
    fc.record({
      kind: fc.constant('index' as const),
      of: tie('expression').map(asHolder),
      index: tie('expression'),
      optional: fc.boolean(),
      at: fc.constant(0),
    }),
  ),
}))

function withoutPlaces(e: Expression): unknown {
  return JSON.parse(
    JSON.stringify(e, (key, value) => (key === 'at' ? 0 : typeof value === 'bigint' ? `${value}n` : value)),
  )
}

describe('the parser', () => {
  it('reads what is printed as the same', () => {
    fc.assert(
      fc.property(expression, e => {
        expect(withoutPlaces(parseExpression(printExpression(e)))).toEqual(withoutPlaces(e))
      }),
      { numRuns: 500 },
    )
  })

  it('answers any text with a value or with an error that names the place', () => {
    const pieces = fc.constantFrom(
      '@',
      '{',
      '}',
      '(',
      ')',
      "'",
      ',',
      '.',
      '?',
      '[',
      ']',
      'concat',
      'item',
      '1',
      ' ',
      'x',
    )
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 30 }), parts => {
        try {
          evaluateText(parts.join(''), NOTHING)
        } catch (error) {
          expect((error as { code: string }).code).toMatch(/^FERRY-700[23]$/)
          expect((error as Error).message).toMatch(/position \d+/)
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('names the nearest function, the place and what a function got', () => {
    expect(() => evaluate("concatt('a')")).toThrow(
      "@concatt('a') (position 2): there is no function concatt: did you mean concat?",
    )
    expect(() => evaluate("concat('a', length(1))")).toThrow(
      '(position 14): length: argument 1 has to be a text or an array, and is Integer 1',
    )
    expect(() => evaluate("substring('abc', 2)")).not.toThrow()
    expect(() => evaluate("substring('abc', 2, 2)")).toThrow(/2 characters from 2 on are not within a text of 3/)
    expect(() => evaluate('toUpper()')).toThrow(/toUpper takes 1 argument, not 0/)
  })
})

describe('hostile expressions', () => {
  it('are bounded in depth and in size', () => {
    expect(() => evaluate(`${'not('.repeat(100_000)}true${')'.repeat(100_000)}`)).toThrow(
      /deep in one another|more than/,
    )
    expect(() => evaluate(`'${'x'.repeat(300_000)}'`)).toThrow(/more than 200,000 characters/)
    const wide = Array.from({ length: 40 }, () => "'x'").join(', ')
    let grown = `concat(${wide})`
    for (let i = 0; i < 5; i++) grown = `replace(${grown}, 'x', '${'x'.repeat(60)}')`
    expect(() => evaluate(grown)).toThrow(/more than 32,000,000 characters/)
    expect(() => evaluate('range(0, 100000000)')).toThrow(/argument 2/)
  })

  it('read no XML with entities', () => {
    expect(() => evaluate(`xml('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')`)).toThrow(/DOCTYPE/)
    expect(() => evaluate(`xml('<a><b></a>')`)).toThrow(/no XML/)
  })
})
