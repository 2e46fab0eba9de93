import type { Connector } from '../../contract/store.ts'
import { FilesStore } from '../../formats/store.ts'
import { RemoteStore } from '../../objects/remote/store.ts'
import { SftpService } from './service.ts'
import { readSettings, sftpKind } from './settings.ts'

/** Files of a server that is reached by SSH. */
export const sftp: Connector = {
  ...sftpKind,
  open: (settings, policy) => {
    const checked = readSettings(settings, policy)
    return new FilesStore(sftpKind, new RemoteStore(new SftpService(checked), checked.folder, policy), policy)
  },
}
