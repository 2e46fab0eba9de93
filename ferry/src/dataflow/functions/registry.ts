/** All functions of data flows, by their names in lower case. */
import { didYouMean } from '../../errors.ts'
import { ARRAYS } from './arrays.ts'
import { CONVERSIONS } from './conversions.ts'
import { GROUPS } from './groups.ts'
import type { FlowFunction } from './kinds.ts'
import { MOMENTS } from './moments.ts'
import { NUMBERS } from './numbers.ts'
import { TEXTS } from './texts.ts'

const ALL = new Map([...TEXTS, ...NUMBERS, ...MOMENTS, ...ARRAYS, ...CONVERSIONS, ...GROUPS].map(f => [f.name, f]))

/** Those that the compiler knows by itself. */
const OWN = [
  ...[
    'null',
    'columns',
    'columnnames',
    'byname',
    'bynames',
    'byposition',
    'bypath',
    'hascolumn',
    'haspath',
    'syntax',
    'expr',
  ],
  ...[
    'add',
    'minus',
    'multiply',
    'divide',
    'mod',
    'equals',
    'notequals',
    'greater',
    'greaterorequal',
    'lesser',
    'lesserorequal',
  ],
  ...['isinsert', 'isupdate', 'isupsert', 'isdelete', 'isignore', 'ismatch', 'iserror', 'haserror', 'each', 'toarray'],
]

/** Functions of Data Factory that do not run here. */
const ABSENT = new Set([
  ...['blake2b', 'blake2bbinary', 'byitem', 'byorigin', 'byorigins', 'crc32', 'decode', 'encode', 'isdistinct'],
  ...['lookup', 'mapassociation', 'mlookup', 'nextsequence', 'origincolumns', 'output', 'outputs', 'partitionid'],
  ...['reassociate', 'setbitset', 'soundex', 'topn', 'trunc', 'unescape', 'unfold'],
])

export const isAbsent = (name: string): boolean => ABSENT.has(name.toLowerCase())

export const FUNCTION_NAMES = [...ALL.keys(), ...OWN].sort()

export const functionNamed = (name: string): FlowFunction | undefined => ALL.get(name.toLowerCase())

/** How the nearest function is called, for messages. */
export const nearFunction = (name: string): string => didYouMean(name.toLowerCase(), FUNCTION_NAMES)
