/**
 * Secrets that stay in Azure Key Vault: a setting `keyvault:https://NAME.vault.azure.net/secrets/SECRET` means what
 * the vault holds; it is read when a store is opened, and stored nowhere. Who asks is found as Azure's tools find it: the
 * environment's service principal, a workload's or a machine's managed identity, or who is signed in with `az login`.
 */
import { FerryError } from '../errors.ts'
import { asOurselves } from '../network.ts'
import type { Policy } from '../policy.ts'

const REFERENCE = /^keyvault:(https:\/\/[^/]+)\/secrets\/([0-9A-Za-z-]+)(?:\/([0-9A-Za-z]+))?\/?$/

/** Whether a setting's value is such a reference. */
export function isVaultReference(value: unknown): value is string {
  return typeof value === 'string' && value.startsWith('keyvault:')
}

/** The settings with secrets in place of references. Throws FERRY-2003 or FERRY-2002. */
export async function withVaultSecrets(
  settings: Record<string, unknown>,
  policy: Policy,
): Promise<Record<string, unknown>> {
  const entries = Object.entries(settings)
  if (!entries.some(([, value]) => isVaultReference(value))) return settings
  const found = entries.map(async ([name, value]) => [
    name,
    isVaultReference(value) ? await secretOf(value, policy) : value,
  ])
  return Object.fromEntries(await Promise.all(found)) as Record<string, unknown>
}

async function secretOf(reference: string, policy: Policy): Promise<string> {
  const match = REFERENCE.exec(reference)
  if (!match) {
    throw new FerryError('FERRY-2003', `${reference} is no reference to a secret`, {
      hint: 'Write keyvault:https://NAME.vault.azure.net/secrets/SECRET, with /VERSION where one is meant.',
    })
  }
  const [, vault, name, version] = match
  // Whoever asks shows who they are: a server shows it to vaults only.
  if (policy.isLimited && !isVault(vault!)) throw new FerryError('FERRY-2006', `${vault} is no Azure Key Vault`)
  const { DefaultAzureCredential } = await import('@azure/identity')
  const { SecretClient } = await import('@azure/keyvault-secrets')
  const isOwn = process.env.AZURE_AUTHORITY_HOST !== undefined
  const credential = new DefaultAzureCredential({ disableInstanceDiscovery: isOwn } as object)
  // A host of Azure's is a vault by its name; any other host must be allowed explicitly.
  const client = new SecretClient(vault!, credential, { disableChallengeResourceVerification: !isVault(vault!) })
  try {
    const { value } = await asOurselves(() => client.getSecret(name!, version === undefined ? {} : { version }))
    return value ?? ''
  } catch (error) {
    throw new FerryError('FERRY-2002', `${vault}: secret ${name}: ${(error as Error).message.split('\n')[0]}`, {
      hint: 'Check the name, and that the identity that asks may read secrets of this vault.',
      cause: error,
    })
  }
}

function isVault(url: string): boolean {
  return /\.vault\.(azure\.net|azure\.cn|usgovcloudapi\.net|microsoftazure\.de)$/.test(new URL(url).hostname)
}
