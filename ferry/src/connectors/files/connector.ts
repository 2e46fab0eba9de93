import type { Connector } from '../../contract/store.ts'
import { FilesStore } from '../../formats/store.ts'
import { LocalFolder } from '../../objects/local/store.ts'
import { filesKind } from './settings.ts'

/** Files of a local folder; `-` is standard input and output. */
export const files: Connector = {
  ...filesKind,
  open: (settings, policy) =>
    new FilesStore(filesKind, new LocalFolder(filesKind.check(settings, policy), policy), policy),
}
