import { Button } from '@fluentui/react-components'
import { CheckmarkRegular, CopyRegular } from '@fluentui/react-icons'
import { useState } from 'react'

/** Puts a text into the clipboard. Pages that came in without encryption have none: there it is not shown. */
export function CopyButton({ text, what }: { text: string; what: string }) {
  const [done, setDone] = useState<string>()
  if (!navigator.clipboard) return null
  return (
    <Button
      size="small"
      appearance="subtle"
      icon={done === text ? <CheckmarkRegular /> : <CopyRegular />}
      aria-label={done === text ? `${what} is copied` : `Copy ${what}`}
      onClick={async () => {
        await navigator.clipboard.writeText(text)
        setDone(text)
      }}
    />
  )
}
