/** What is kept with an object, and how it is stored: in the words of the SDK, and as headers. */
import type { ObjectAbout } from '../../objects/store.ts'

export function wordsOf({
  contentType,
  contentEncoding,
  contentLanguage,
  contentDisposition,
  cacheControl,
  metadata,
}: ObjectAbout = {}) {
  return {
    ContentType: contentType,
    ContentEncoding: contentEncoding,
    ContentLanguage: contentLanguage,
    ContentDisposition: contentDisposition,
    CacheControl: cacheControl,
    Metadata: metadata,
  }
}

/** The headers of words that are headers. */
export function headersOf(words: { Metadata?: Record<string, string> | undefined; [word: string]: unknown }) {
  const { Metadata = {}, ...others } = words
  const named = Object.entries(others).map(([word, value]) => [HEADERS[word]!, value as string | undefined])
  return Object.fromEntries([
    ...named,
    ...Object.entries(Metadata).map(([n, v]) => [`x-amz-meta-${n.toLowerCase()}`, v]),
  ])
}

const HEADERS: Record<string, string> = {
  ContentType: 'content-type',
  ContentEncoding: 'content-encoding',
  ContentLanguage: 'content-language',
  ContentDisposition: 'content-disposition',
  CacheControl: 'cache-control',
  ServerSideEncryption: 'x-amz-server-side-encryption',
  SSEKMSKeyId: 'x-amz-server-side-encryption-aws-kms-key-id',
  StorageClass: 'x-amz-storage-class',
}
