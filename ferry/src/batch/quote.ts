/** A value for a message: quoted, and cut where it is long. */
export function quoteShort(text: string): string {
  const short = text.length > 60 ? `${text.slice(0, 57)}...` : text
  return JSON.stringify(short)
}
