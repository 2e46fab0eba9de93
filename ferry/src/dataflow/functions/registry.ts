/** All functions of data flows, by their names in lower case. */
import { didYouMean } from '../../errors.ts'
import { ARRAYS } from './arrays.ts'
import { CONVERSIONS } from './conversions.ts'
import { GROUPS } from './groups.ts'
import type { FlowFunction } from './kinds.ts'
import { MOMENTS } from './moments.ts'
import { NUMBERS } from './numbers.ts'
import { TEXTS } from './texts.ts'

const ALL = new Map(
  [...TEXTS, ...NUMBERS, ...MOMENTS, ...ARRAYS, ...CONVERSIONS, ...GROUPS].map(f => [f.name.toLowerCase(), f]),
)

/** Those that the compiler knows by itself. */
const OWN = [
  ...[
    'null',
    'columns',
    'columnNames',
    'byName',
    'byNames',
    'byPosition',
    'byPath',
    'hasColumn',
    'hasPath',
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
    'notEquals',
    'greater',
    'greaterOrEqual',
    'lesser',
    'lesserOrEqual',
  ],
  ...['isInsert', 'isUpdate', 'isUpsert', 'isDelete', 'isIgnore', 'isMatch', 'isError', 'hasError'],
]

/** Functions of Data Factory that do not run here. */
export const ABSENT = [
  ...['blake2b', 'blake2bBinary', 'byItem', 'byOrigin', 'byOrigins', 'crc32', 'decode', 'encode', 'isDistinct'],
  ...['mapAssociation', 'nextSequence', 'originColumns', 'partitionId'],
  ...['reassociate', 'setBitSet', 'skewness', 'skewnessIf', 'soundex', 'topN', 'trunc', 'unescape', 'unfold'],
]

export const isAbsent = (name: string): boolean => ABSENT.some(absent => absent.toLowerCase() === name.toLowerCase())

export const FUNCTION_NAMES = [...[...ALL.values()].map(f => f.name), ...OWN].sort((a, b) =>
  a.toLowerCase() < b.toLowerCase() ? -1 : 1,
)

export const functionNamed = (name: string): FlowFunction | undefined => ALL.get(name.toLowerCase())

/** How the nearest function is called, for messages. */
export const nearFunction = (name: string): string => didYouMean(name, FUNCTION_NAMES)
