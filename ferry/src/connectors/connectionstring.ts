/** The parts of a connection string of Azure, `Name=value;...` in any order; names in lower case. */
export function connectionStringParts(text: string): Map<string, string> {
  const parts = new Map<string, string>()
  for (const part of text.split(';')) {
    const at = part.indexOf('=')
    // A key ends with `=` signs of its own: only the first one separates.
    if (at > 0) parts.set(part.slice(0, at).trim().toLowerCase(), part.slice(at + 1).trim())
  }
  return parts
}
