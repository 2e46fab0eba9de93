import { FerryError } from '../../errors.ts'

/** What the file system said, as one of Ferry's errors. */
export function translate(error: unknown, place: string): FerryError {
  if (error instanceof FerryError) return error
  const e = error as NodeJS.ErrnoException
  const message = `${place}: ${e.message}`
  switch (e.code) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return new FerryError('FERRY-4006', message, { cause: error })
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new FerryError('FERRY-2004', message, { cause: error })
    case 'EPIPE':
      return new FerryError('FERRY-2005', `${place}: whoever read it has gone`, { cause: error })
    case 'ENAMETOOLONG':
      return new FerryError('FERRY-3015', message, { cause: error })
    case 'EEXIST':
      return new FerryError('FERRY-3015', `${message}: a file is where a folder is needed`, { cause: error })
    case 'ELOOP':
    case 'EISDIR':
    case 'ENOTDIR':
    case 'ENOENT':
      return new FerryError('FERRY-3001', message, { cause: error })
    case 'EIO':
    case 'ESTALE':
    case 'EMFILE':
    case 'ENFILE':
      return new FerryError('FERRY-2001', message, { cause: error })
    default:
      return new FerryError('FERRY-9000', message, { cause: error })
  }
}
