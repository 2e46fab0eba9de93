/** What reading and writing PostgreSQL's binary COPY format share. */

/** Days and microseconds from 1970-01-01 to 2000-01-01, PostgreSQL's epoch. */
export const EPOCH_DAYS = 10957
export const EPOCH_MICROS = 946_684_800_000_000
/** How timestamps write infinity and -infinity. */
export const INT64_MAX = 9223372036854775807n
export const INT64_MIN = -9223372036854775808n

/** `PGCOPY\n\377\r\n\0`, flags, header extension length. */
export const HEADER = Buffer.from('5047434f50590aff0d0a000000000000000000', 'hex')
export const TRAILER = Buffer.from([0xff, 0xff])
