import type { Connector } from '../../contract/store.ts'
import { FilesStore } from '../../formats/store.ts'
import { HttpStore } from './objects.ts'
import { httpKind, readSettings } from './settings.ts'

/** Files of a web server, to read. */
export const http: Connector = {
  ...httpKind,
  open: (settings, policy) => new FilesStore(httpKind, new HttpStore(readSettings(settings), policy), policy),
}
