import type { Connector } from '../../contract/store.ts'
import { FilesStore } from '../../formats/store.ts'
import { RemoteStore } from '../../objects/remote/store.ts'
import { GcsService } from './service.ts'
import { gcsKind, readSettings } from './settings.ts'

/** Objects in Google Cloud Storage. */
export const gcs: Connector = {
  ...gcsKind,
  open: (settings, policy) => {
    const checked = readSettings(settings, policy)
    return new FilesStore(gcsKind, new RemoteStore(new GcsService(checked), checked.folder, policy), policy)
  },
}
