/** The suite on a store whose file FERRY_CONNECTORS names. */
import { findKind, loadConnectorFiles } from '../../ferry/src/connectors/registry.ts'
import { conformance } from '../../ferry/src/contract/conformance/suite.ts'
import { temporaryFolder } from '../support.ts'

await loadConnectorFiles()

conformance('Ledgerbook', {
  kind: findKind('ledgerbook')!,
  evolves: false,
  make: async () => ({ endpoint: { kind: 'ledgerbook', folder: temporaryFolder() }, object: name => name }),
})
