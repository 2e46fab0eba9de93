/** A place with nothing in it yet, and what to do about it. */
import { makeStyles, Subtitle1, Text } from '@fluentui/react-components'
import type { ReactNode } from 'react'

const useStyles = makeStyles({
  box: {
    display: 'flex',
    flexDirection: 'column',
    alignItems: 'center',
    textAlign: 'center',
    gap: '12px',
    padding: '56px 16px',
  },
})

export function Empty({ title, text, children }: { title: string; text?: string; children?: ReactNode }) {
  const styles = useStyles()
  return (
    <div className={styles.box}>
      <Subtitle1 as="h2">{title}</Subtitle1>
      {text && <Text>{text}</Text>}
      {children}
    </div>
  )
}
