/** A text as a part of a regular expression, outside of brackets. */
export const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
