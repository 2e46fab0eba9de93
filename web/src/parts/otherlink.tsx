/** A link with a token, opened by who is signed in already: whose eyes are meant is asked, and never changed silently. */
import { Button, Dialog } from '@fluentui/react-components'
import { useEffect, useState } from 'react'
import { type SessionView, signIn } from '../api.ts'
import { tokenInAddress } from '../token.ts'
import { Failure } from './failure.tsx'
import { Question } from './question.tsx'

export function OtherLink({ session }: { session: SessionView }) {
  const [token, setToken] = useState<string>()
  const [error, setError] = useState<unknown>()
  useEffect(() => {
    const look = () => {
      const given = tokenInAddress()
      if (given === undefined) return
      setError(undefined)
      setToken(given)
    }
    look()
    addEventListener('hashchange', look)
    return () => removeEventListener('hashchange', look)
  }, [])
  const change = async () => {
    try {
      await signIn(token!)
      // Nothing that the former one saw stays.
      location.reload()
    } catch (fault) {
      setError(fault)
    }
  }
  return (
    <Dialog open={token !== undefined} onOpenChange={(_, { open }) => !open && setToken(undefined)}>
      <Question
        title="Sign in with the link?"
        close={`Stay ${session.name}`}
        actions={
          <Button appearance="primary" onClick={change}>
            Sign in with the link
          </Button>
        }
      >
        You are signed in as {session.name} ({session.role}). The link that was opened has a token of its own.
        {error !== undefined && <Failure error={error} />}
      </Question>
    </Dialog>
  )
}
