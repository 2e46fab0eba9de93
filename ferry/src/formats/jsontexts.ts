/** The texts of the objects in a JSON file: lines, the elements of an array, or objects one after the other. */
import { FerryError } from '../errors.ts'
import { notInEncoding, requireNotTooLong, requireUtf8, type TextFile } from './bytes.ts'

export interface ObjectText {
  text: string
  /** Line (JSON Lines) or position (array) of the object, from 1. */
  at: number
}

/** The texts of the objects in a stream, with how many bytes each step covers. */
export async function* objectTexts(
  source: AsyncIterable<Buffer>,
  file: TextFile,
  format: 'jsonl' | 'json',
  start: number,
  partial: boolean,
): AsyncGenerator<{ objects: ObjectText[]; bytes: number }> {
  if (format === 'jsonl') yield* lines(source, file, start, partial)
  else yield* arrayElements(source, file, partial)
}

async function* lines(source: AsyncIterable<Buffer>, file: TextFile, start: number, partial: boolean) {
  let pending: Buffer[] = []
  let pendingBytes = 0
  let at = start
  let line = 1
  const emit = (data: Buffer) => {
    requireUtf8(data, file)
    const objects: ObjectText[] = []
    for (const text of data.toString('utf8').split('\n')) {
      if (text.trim() !== '') objects.push({ text: line === 1 ? text.replace(/^\uFEFF/, '') : text, at: line })
      line++
    }
    // The text behind the last line feed is empty: it is no line yet.
    line--
    at += data.length
    return { objects, bytes: data.length }
  }
  for await (const chunk of source) {
    const end = chunk.lastIndexOf(10) + 1
    if (end === 0) {
      pending.push(chunk)
      pendingBytes += chunk.length
      requireNotTooLong(`${file.path}, byte ${at}`, pendingBytes)
      continue
    }
    yield emit(Buffer.concat([...pending, chunk.subarray(0, end)]))
    pending = end < chunk.length ? [chunk.subarray(end)] : []
    pendingBytes = chunk.length - end
  }
  const rest = Buffer.concat(pending)
  // A sample ends anywhere: what is cut off is not looked at, unless it is all there is.
  if (rest.length > 0 && (!partial || line === 1)) yield emit(rest)
}

async function* arrayElements(source: AsyncIterable<Buffer>, file: TextFile, partial: boolean) {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let text = ''
  let scan = 0
  let start = -1
  let depth = 0
  let inString = false
  let escaped = false
  let position = 0
  /** Objects one after the other, without an array around them. */
  let isSequence = false
  /** What may come between elements. */
  let next: 'array' | 'first' | 'comma' | 'element' | 'nothing' = 'array'
  const refuse = (what: string) => new FerryError('FERRY-4002', `${file.path}: ${what}`)
  for await (const chunk of source) {
    requireNotTooLong(`${file.path}, element ${position + 1}`, text.length + chunk.length)
    try {
      text += decoder.decode(chunk, { stream: true })
    } catch {
      throw notInEncoding(file, chunk)
    }
    const objects: ObjectText[] = []
    for (; scan < text.length; scan++) {
      const c = text.charCodeAt(scan)
      if (inString) {
        if (escaped) escaped = false
        else if (c === 92) escaped = true
        else if (c === 34) inString = false
      } else if (depth > 1) {
        if (c === 34) inString = true
        else if (c === 91 || c === 123) depth++
        else if ((c === 93 || c === 125) && --depth === 1) {
          objects.push({ text: text.slice(start, scan + 1), at: ++position })
          start = -1
          next = 'comma'
        }
      } else if (c !== 32 && c !== 9 && c !== 10 && c !== 13) {
        if (next === 'array') {
          // The byte order mark.
          if (c === 0xfeff && scan === 0) continue
          if (c === 123) {
            start = scan
            depth = 2
            isSequence = true
          } else if (c === 91) {
            depth = 1
            next = 'first'
          } else throw refuse('it is neither a JSON array nor JSON objects')
        } else if (isSequence) {
          if (c !== 123) throw refuse(`what follows object ${position} is no object`)
          start = scan
          depth = 2
        } else if (c === 93 && (next === 'first' || next === 'comma')) {
          depth = 0
          next = 'nothing'
        } else if (c === 44 && next === 'comma') next = 'element'
        else if (c === 123 && (next === 'first' || next === 'element')) {
          start = scan
          depth = 2
        } else if (next === 'nothing') throw refuse('there is text behind the array')
        else if (next === 'comma') throw refuse(`there is no comma behind element ${position} of the array`)
        else throw refuse(`element ${position + 1} of the array is no object`)
      }
    }
    const keep = start >= 0 ? start : text.length
    text = text.slice(keep)
    scan -= keep
    if (start >= 0) start = 0
    yield { objects, bytes: chunk.length }
  }
  // An empty file has no elements either.
  const isClosed = isSequence ? start < 0 : next === 'nothing' || (next === 'array' && text === '')
  if (partial || isClosed) return
  throw new FerryError(
    'FERRY-4004',
    `${file.path}: the ${isSequence ? 'last object' : 'array'} is not closed: the file is cut off`,
  )
}
