/**
 * What a connector that lives outside of Ferry is given, so that it imports nothing but types: values as Ferry writes and
 * reads them, its errors, and zod. Its module exports a function of the kit that gives the connector.
 */
import { resolve } from 'node:path'
import { z } from 'zod'
import { formatText, parseText } from '../batch/text.ts'
import { parseType, typeName } from '../batch/types.ts'
import { FerryError, RowError } from '../errors.ts'
import { realOf } from '../policy.ts'
import { PLAIN_NAMES } from './names.ts'
import { checkSettings } from './settings.ts'
import { type Connector, PLAIN } from './store.ts'

export type { Batch, Checkpoint, Rejected } from '../batch/encoding.ts'
export type { Column, LogicalType, Row, Value } from '../batch/types.ts'
export type { Policy } from '../policy.ts'
export type * from './capabilities.ts'
export type * from './changefeed.ts'
export type * from './encodings.ts'
export type * from './locator.ts'
export type * from './names.ts'
export type * from './read.ts'
export type * from './schema.ts'
export type * from './sink.ts'
export type * from './source.ts'
export type * from './split.ts'
export type * from './store.ts'
export type * from './write.ts'

export const KIT = {
  z,
  PLAIN,
  PLAIN_NAMES,
  checkSettings,
  FerryError,
  RowError,
  formatText,
  parseText,
  parseType,
  realPath: (path: string) => realOf(resolve(path)),
  typeName,
}

export type ConnectorKit = typeof KIT
/** The default export of a connector's module. */
export type MakeConnector = (kit: ConnectorKit) => Connector
