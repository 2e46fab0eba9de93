/** Expressions of data flows: documented examples, their types, and what is wrong with others. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compile } from '../../ferry/src/dataflow/compile.ts'
import { FUNCTION_NAMES } from '../../ferry/src/dataflow/functions/registry.ts'
import { scopeOf } from '../../ferry/src/dataflow/relation.ts'
import { parseExpression } from '../../ferry/src/dataflow/script/parser.ts'
import { type FlowType, INTEGER, STRING, shownType } from '../../ferry/src/dataflow/types.ts'
import { Duckdb } from '../../ferry/src/duckdb/engine.ts'
import { policy, root } from '../support.ts'

const examples = JSON.parse(readFileSync(join(root, 'test/dataflow/examples.json'), 'utf8')) as [string, unknown][]
const columns = (
  [
    ['name', STRING],
    ['n', INTEGER],
  ] as [string, FlowType][]
).map(([name, type]) => ({
  name,
  type,
  id: `"${name}"`,
  streams: ['source1'],
}))
const flow = { parameters: new Map(), startedAt: '2026-01-01T00:00:00.000Z', note: () => {} }
const compiled = (text: string) => compile(parseExpression(text), scopeOf({ columns }, flow))

let engine: Duckdb
beforeAll(async () => {
  engine = await Duckdb.open(policy)
})
afterAll(() => engine.close())

const valueOf = async (text: string): Promise<unknown> => {
  const [row] = await engine.all(`SELECT CAST(to_json(${compiled(text).sql}) AS VARCHAR) AS v`)
  return JSON.parse(String(row!.v))
}

describe('an expression', () => {
  it.each(examples)('%s', async (text, wanted) => {
    const found = await valueOf(text)
    if (typeof wanted === 'number')
      expect(Math.abs((found as number) - wanted)).toBeLessThan(1e-6 * Math.max(1, Math.abs(wanted)))
    else expect(found).toEqual(wanted)
  })

  it.each([
    ['toDecimal(10, 10, 2) / toDecimal(3, 10, 2)', '3.3333333333333'],
    ['toDecimal(-2, 10, 2) / toDecimal(3, 10, 2)', '-0.6666666666667'],
    ["toDecimal('12345678901234567.89', 19, 2) / 7", '1763668414462081.1271428571429'],
    ["toDecimal('99999999999999999999.99', 22, 2) * toDecimal('1.01', 3, 2)", '100999999999999999999.9899'],
    ["toDecimal('0.1', 10, 1) + toDecimal('0.2', 10, 1)", '0.3'],
    ['toDecimal(1, 10, 2) / toDecimal(0, 10, 2)', null],
  ])('%s is exactly %s', async (text, wanted) => {
    const [row] = await engine.all(`SELECT CAST(${compiled(text).sql} AS VARCHAR) AS v`)
    expect(row!.v).toBe(wanted)
  })

  it.each([
    ['1 + 2L', 'long'],
    ['toDecimal(1.5, 8, 2) + 1', 'decimal(13,2)'],
    ['name + n', 'string'],
    ['@(a = n, b = [name])', '(a as integer, b as string[])'],
    ["['k' -> n]", '[string, integer]'],
    ['map([1, 2], toString(#item))', 'string[]'],
    ['iif(n > 1, n, 2.5)', 'double'],
    ['"n is {n}"', 'string'],
  ])('%s is %s', (text, type) => {
    expect(shownType(compiled(text).type)).toBe(type)
  })

  it('knows every function that the list names', () => {
    const unknown = FUNCTION_NAMES.filter(name => {
      try {
        compiled(`${name}(n, n)`)
      } catch (error) {
        return /there is no function/.test((error as Error).message)
      }
      return false
    })
    expect(unknown).toEqual([])
  })

  it.each([
    ['uper(name)', 'line 1, column 1: there is no function uper: did you mean upper?'],
    ['soundex(name)', 'the function soundex does not run here'],
    ['upper(name', 'line 1, column 11'],
    ['month(name)', 'line 1, column 1: month takes a date or a timestamp'],
    ['1 +\n  upper(nam)', 'line 2, column 9: there is no column nam: did you mean name?'],
    ['substring(name)', 'substring takes 2 to 3 arguments, and gets 1'],
    ['sum(n)', 'sum is of a group'],
    ['$x', 'there is no parameter x'],
    ['n && true', 'line 1, column 3'],
    ["'open", 'the text does not end'],
    [`${'('.repeat(5000)}1${')'.repeat(5000)}`, 'deep'],
  ])('%s is refused', (text, message) => {
    expect(() => compiled(text)).toThrow(message)
  })
})
