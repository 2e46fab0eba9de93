import type { Connector } from '../../contract/store.ts'
import { FilesStore } from '../../formats/store.ts'
import { RemoteStore } from '../../objects/remote/store.ts'
import { S3Service } from './service.ts'
import { readSettings, s3Kind } from './settings.ts'

/** Objects in Amazon S3, and in what speaks like it. */
export const s3: Connector = {
  ...s3Kind,
  open: (settings, policy) => {
    const checked = readSettings(settings, policy)
    return new FilesStore(s3Kind, new RemoteStore(new S3Service(checked), checked.folder, policy), policy)
  },
}
