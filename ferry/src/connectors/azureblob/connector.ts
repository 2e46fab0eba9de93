import type { Connector } from '../../contract/store.ts'
import { FilesStore } from '../../formats/store.ts'
import { RemoteStore } from '../../objects/remote/store.ts'
import { BlobService } from './service.ts'
import { azureblobKind, readSettings } from './settings.ts'

/** Blobs of an Azure storage account, of ADLS Gen2 too. */
export const azureblob: Connector = {
  ...azureblobKind,
  open: (settings, policy) => {
    const checked = readSettings(settings, policy)
    return new FilesStore(azureblobKind, new RemoteStore(new BlobService(checked), checked.folder, policy), policy)
  },
}
