/** What Azure Blob Storage answers, with the next step. The codes: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes */
import { type ErrorCode, FerryError } from '../../errors.ts'
import { firstLine } from '../entra.ts'
import type { BlobSettings } from './settings.ts'

/** By the service's own code: Ferry's code, and what to do. */
const KNOWN: Record<string, [code: ErrorCode, hint: string]> = {
  AuthenticationFailed: [
    'FERRY-2002',
    'Check the key or the signature. A shared access signature that is over, and a clock of this machine that differs by more than 15 minutes, have the same answer.',
  ],
  InvalidAuthenticationInfo: [
    'FERRY-2002',
    'Check the identity of the connection: key, signature, or tenant of the token.',
  ],
  AuthorizationFailure: [
    'FERRY-2004',
    "The account's firewall does not take requests from this network, or the signature has not this right: see Networking of the account.",
  ],
  AuthorizationPermissionMismatch: [
    'FERRY-2004',
    'Give the identity the role Storage Blob Data Reader (source) or Storage Blob Data Contributor (destination); it takes some minutes.',
  ],
  AuthorizationSourceIPMismatch: ['FERRY-2004', 'The signature is for other addresses than that of this machine.'],
  AuthorizationProtocolMismatch: ['FERRY-2004', 'The signature is for https only.'],
  AuthorizationServiceMismatch: ['FERRY-2004', 'The signature is not for the Blob service.'],
  AuthorizationResourceTypeMismatch: [
    'FERRY-2004',
    'The signature is not for containers and blobs: resource types `co`.',
  ],
  KeyBasedAuthenticationNotPermitted: [
    'FERRY-2004',
    'The account takes no keys: use a service principal or a managed identity.',
  ],
  PublicAccessNotPermitted: ['FERRY-2004', 'The account allows no public access: give the connection an identity.'],
  NoAuthenticationInformation: ['FERRY-2002', 'The container is not public: give the connection an identity.'],
  ContainerNotFound: ['FERRY-2001', 'Check the name of the container, and the account.'],
  ContainerBeingDeleted: ['FERRY-2001', 'Wait until it is deleted, or name another one.'],
  AccountIsDisabled: ['FERRY-2004', 'The account is disabled.'],
  BlobNotFound: ['FERRY-3001', 'It was removed meanwhile, or its name is another one: upper and lower case differ.'],
  BlobArchived: ['FERRY-2004', 'The blob is in the archive tier: rehydrate it, then run again.'],
  BlobBeingRehydrated: ['FERRY-2004', 'The blob comes back from the archive tier: run again when it has.'],
  BlobImmutableDueToPolicy: ['FERRY-2004', 'A policy of the container forbids changes to the blob.'],
  LeaseIdMissing: ['FERRY-2004', 'Somebody holds a lease on the blob: end it, or write another name.'],
  InvalidBlobType: ['FERRY-3006', 'An append or page blob has this name: write another one.'],
  ServerBusy: ['FERRY-2005', 'The account is busy: fewer splits at one time (limits.parallel), then run again.'],
}

const UNREACHABLE =
  /^(ENOTFOUND|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|ERR_TLS)/

export function explainBlob(error: unknown, key: string, settings: BlobSettings): unknown {
  if (error instanceof FerryError || !(error instanceof Error)) return error
  const { code = '', statusCode: status } = error as { code?: string; statusCode?: number }
  const place = key.includes('://') ? key : `az://${settings.account ?? ''}/${settings.container}/${key}`
  const told = (ferry: ErrorCode, hint?: string) => {
    const named = code === '' || error.message.includes(code) ? '' : `${code}: `
    const why = firstLine(error)
    return new FerryError(ferry, `${place}: ${named}${why}`, { cause: error, ...(hint === undefined ? {} : { hint }) })
  }
  const known = KNOWN[code]
  if (known) return told(...known)
  if (UNREACHABLE.test(code)) return told('FERRY-2001', 'Check account, endpoint and network.')
  if (code === 'REQUEST_SEND_ERROR') return told('FERRY-2001', 'Check account, endpoint and network.')
  if (/Credential|Authentication/.test(error.name)) {
    return told(
      'FERRY-2002',
      'Check servicePrincipalId, servicePrincipalCredential, tenant; or that this machine has the managed identity.',
    )
  }
  if (status === 401) return told('FERRY-2002')
  if (status === 403) return told(...KNOWN.AuthorizationFailure!)
  if (status === 404) return told('FERRY-3001')
  if (status === 429 || status === 503) return told(...KNOWN.ServerBusy!)
  if (status !== undefined) return told('FERRY-2007')
  return /ECONNRESET|EPIPE|ETIMEDOUT|PREMATURE/.test(code) ? told('FERRY-2005') : error
}
