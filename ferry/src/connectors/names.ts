/** The place of a server: one text for all names of this machine. */
export const placeOfServer = (label: string): string => label.replace('//localhost', '//127.0.0.1')
