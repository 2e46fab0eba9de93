/** What is known of an object beside its bytes. */

/** An object as a listing gives it. */
export interface ObjectHead {
  /** The name of the object within its store; for a local file its absolute path. */
  key: string
  /** In bytes; undefined for a stream, which has no length and can be read once. */
  size: number | undefined
  /** Nanoseconds since 1970; 0 for a stream. */
  modified: bigint
  /** Changes whenever the bytes do; undefined for files, which have no such mark. */
  version?: string
}

/** What a store keeps with an object beside its bytes. */
export interface ObjectAbout {
  contentType?: string
  contentEncoding?: string
  contentLanguage?: string
  contentDisposition?: string
  cacheControl?: string
  metadata?: Record<string, string>
}
