/** The text of an array of one dimension: `{1,NULL,"a \"quoted\" one"}`. */
import type { Value } from '../../batch/types.ts'
import { RowError } from '../../errors.ts'

export function parseArray(text: string, item: (text: string) => Value): Value[] {
  if (!text.startsWith('{')) throw new RowError('FERRY-4001', 'an array that does not start at 1 is no list')
  const found: Value[] = []
  let at = 1
  while (text[at] !== '}') {
    if (text[at] === '{') throw new RowError('FERRY-4001', 'an array of more than one dimension is no list')
    if (text[at] === '"') {
      let value = ''
      for (at++; text[at] !== '"'; at++) {
        if (text[at] === '\\') at++
        value += text[at]
      }
      at++
      found.push(item(value))
    } else {
      const end = endOfPlain(text, at)
      const value = text.slice(at, end)
      found.push(value === 'NULL' ? null : item(value))
      at = end
    }
    if (text[at] === ',') at++
  }
  return found
}

function endOfPlain(text: string, from: number): number {
  let at = from
  while (text[at] !== ',' && text[at] !== '}') at++
  return at
}
