import { Button, Field, Input, makeStyles, Text, Title2, tokens } from '@fluentui/react-components'
import { useEffect, useState } from 'react'
import { client, signIn } from '../api.ts'
import { Failure } from '../parts/failure.tsx'
import { tokenInAddress } from '../token.ts'

const useStyles = makeStyles({
  page: { height: '100%', display: 'grid', placeItems: 'center', backgroundColor: tokens.colorNeutralBackground2 },
  form: {
    width: 'min(420px, 90vw)',
    display: 'flex',
    flexDirection: 'column',
    gap: '16px',
    padding: '32px',
    borderRadius: tokens.borderRadiusXLarge,
    backgroundColor: tokens.colorNeutralBackground1,
    boxShadow: tokens.shadow16,
  },
})

export function SignInPage() {
  const styles = useStyles()
  const [token, setToken] = useState('')
  const [error, setError] = useState<unknown>()
  const [busy, setBusy] = useState(false)
  const enter = async (given: string) => {
    setBusy(true)
    setError(undefined)
    try {
      client.setQueryData(['session'], await signIn(given.trim()))
    } catch (fault) {
      setError(fault)
    }
    setBusy(false)
  }
  useEffect(() => {
    document.title = 'Sign in - Ferry'
    const given = tokenInAddress()
    if (given) enter(given)
  }, [])
  return (
    <main className={styles.page}>
      <form
        className={styles.form}
        onSubmit={event => {
          event.preventDefault()
          enter(token)
        }}
      >
        <Title2 as="h1">Ferry</Title2>
        <Text>
          The token was printed when the server first started; on its machine it is in the file <code>token</code> of
          FERRY_HOME. <code>ferry tokens add NAME</code> makes another.
        </Text>
        {error !== undefined && <Failure error={error} />}
        <Field label="Token" required>
          <Input
            type="password"
            autoComplete="current-password"
            value={token}
            onChange={(_, { value }) => setToken(value)}
          />
        </Field>
        <Button type="submit" appearance="primary" disabled={busy || token.trim() === ''}>
          Sign in
        </Button>
      </form>
    </main>
  )
}
