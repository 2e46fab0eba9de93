/** XML in expressions: from JSON and back by the rules of Json.NET, and XPath. */
import { DOMParser, type Document, type Element, type Node } from '@xmldom/xmldom'
import xpath from 'xpath'
import { FerryError } from '../../errors.ts'
import { isObject, printValue, textOf, type Value, type ValueObject } from './values.ts'

const MOST_XML = 5_000_000
const MOST_NODES = 200

function parse(text: string): Document {
  if (text.length > MOST_XML)
    throw new FerryError('FERRY-7003', `the XML has more than ${MOST_XML.toLocaleString('en-US')} characters`)
  // Entities of a document's own can grow without bounds.
  if (/<!DOCTYPE/i.test(text)) throw new FerryError('FERRY-7003', 'XML with a DOCTYPE is not read')
  const faults: string[] = []
  const onError = (level: string, message: string) => {
    if (level !== 'warning') faults.push(message)
  }
  try {
    const document = new DOMParser({ onError }).parseFromString(text.trim(), 'text/xml')
    if (faults.length === 0) return document
  } catch (error) {
    faults.push((error as Error).message)
  }
  throw new FerryError('FERRY-7003', `the text is no XML: ${faults[0]!.split('\n')[0]}`)
}

/** The XML of a text, which is checked, or of an object with one member. Throws FERRY-7003. */
export function xmlOfValue(value: Value): string {
  if (typeof value === 'string') {
    parse(value)
    return value
  }
  if (!isObject(value)) throw new FerryError('FERRY-7003', 'XML is made of a text or of an object with one member')
  const roots = Object.entries(value).filter(([name]) => name !== '?xml')
  const [root] = roots
  if (!root || roots.length > 1 || Array.isArray(root[1])) {
    throw new FerryError('FERRY-7003', 'the object needs one member, which becomes the root of the XML')
  }
  const text = `${declaration(value['?xml'])}${element(root[0], root[1], 0)}`
  parse(text)
  return text
}

function declaration(of: Value | undefined): string {
  if (!isObject(of)) return ''
  const parts = Object.entries(of).map(([name, v]) => ` ${name.replace(/^@/, '')}="${escaped(textOf(v))}"`)
  return `<?xml${parts.join('')}?>`
}

function element(name: string, value: Value, depth: number): string {
  if (depth > MOST_NODES) throw new FerryError('FERRY-7003', `the object is more than ${MOST_NODES} deep`)
  if (value === null) return `<${name} />`
  if (Array.isArray(value)) return value.map(v => element(name, v, depth + 1)).join('')
  if (!isObject(value)) return `<${name}>${escaped(plain(value))}</${name}>`
  const entries = Object.entries(value)
  const attributes = entries
    .filter(([key]) => key.startsWith('@'))
    .map(([key, v]) => ` ${key.slice(1)}="${escaped(v === null ? '' : plain(v))}"`)
  const inner = entries
    .filter(([key]) => !key.startsWith('@'))
    .map(([key, v]) => {
      if (key === '#text') return escaped(plain(v))
      if (key === '#cdata-section') return `<![CDATA[${textOf(v).replaceAll(']]>', ']]]]><![CDATA[>')}]]>`
      return element(key, v, depth + 1)
    })
    .join('')
  return inner === '' ? `<${name}${attributes.join('')} />` : `<${name}${attributes.join('')}>${inner}</${name}>`
}

const plain = (value: Value) => (typeof value === 'string' ? value : printValue(value))

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

/** XML as JSON: attributes are members with `@`, elements of one name a list, text beside others is `#text`. */
export function jsonOfXml(text: string): Value {
  const document = parse(text)
  const result: ValueObject = {}
  const head = /^\s*<\?xml\s([^?]*)\?>/.exec(text)
  if (head) {
    result['?xml'] = Object.fromEntries(
      [...head[1]!.matchAll(/([\w:-]+)\s*=\s*["']([^"']*)["']/g)].map(m => [`@${m[1]}`, m[2]!]),
    )
  }
  const root = document.documentElement!
  result[root.nodeName] = jsonOf(root)
  return result
}

/** What the types of the library leave out. */
const { parse: parsePath } = xpath as unknown as {
  parse: (path: string) => { evaluate: (options: { node: Document; isHtml: boolean }) => unknown }
}

const ELEMENT = 1
const TEXT = 3
const CDATA = 4

function jsonOf(node: Element): Value {
  const result: ValueObject = {}
  for (const attribute of Array.from(node.attributes)) result[`@${attribute.name}`] = attribute.value
  const children = Array.from(node.childNodes)
  const texts = children.filter(c => (c.nodeType === TEXT && (c.nodeValue ?? '').trim() !== '') || c.nodeType === CDATA)
  const elements = children.filter(c => c.nodeType === ELEMENT) as Element[]
  if (elements.length === 0 && Object.keys(result).length === 0 && texts.every(c => c.nodeType === TEXT)) {
    const text = texts.map(c => c.nodeValue).join('')
    return texts.length > 0 ? text : children.length > 0 ? (children[0]!.nodeValue ?? '') : null
  }
  for (const child of texts) add(result, child.nodeType === CDATA ? '#cdata-section' : '#text', child.nodeValue ?? '')
  for (const child of elements) add(result, child.nodeName, jsonOf(child))
  return result
}

function add(to: ValueObject, name: string, value: Value): void {
  const before = to[name]
  if (!Object.hasOwn(to, name)) to[name] = value
  else if (Array.isArray(before)) before.push(value)
  else to[name] = [before!, value]
}

/** What an XPath expression finds: a list of nodes, or a text, a number, true or false. Throws FERRY-7003. */
export function evaluateXpath(text: string, path: string): Value {
  let found: unknown
  try {
    found = parsePath(path).evaluate({ node: parse(text), isHtml: false })
  } catch (error) {
    if (error instanceof FerryError) throw error
    throw new FerryError('FERRY-7003', `"${path.slice(0, 200)}" is no XPath: ${(error as Error).message}`)
  }
  const { nodes, num, str, bool } = found as { nodes?: Node[]; num?: number; str?: string; bool?: boolean }
  if (nodes) return (found as { toArray: () => Node[] }).toArray().map(nodeValue)
  if (num !== undefined) return Number.isSafeInteger(num) ? BigInt(num) : num
  return str ?? bool ?? null
}

/** An element is XML; an attribute and a text are what they hold. */
function nodeValue(node: Node): Value {
  if (node.nodeType !== ELEMENT) return node.nodeValue ?? ''
  return {
    '$content-type': 'application/xml;charset=utf-8',
    $content: Buffer.from(String(node)).toString('base64'),
  }
}
