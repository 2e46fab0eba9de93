import { createContext, useContext } from 'react'
import { may, type Role, type SessionView } from '../api.ts'

export const SessionContext = createContext<SessionView | undefined>(undefined)

/** Whether who is signed in may do what needs a role. */
export function useMay(needed: Role): boolean {
  const session = useContext(SessionContext)
  return session !== undefined && may(session, needed)
}
