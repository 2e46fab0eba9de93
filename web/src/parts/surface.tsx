/** What a dialog is shown on. Whoever opened it has the focus again when it closes, however long one has been in it. */
import { DialogSurface } from '@fluentui/react-components'
import { type ComponentProps, useEffect, useState } from 'react'

export function Surface(props: ComponentProps<typeof DialogSurface>) {
  return (
    <>
      <DialogSurface {...props} />
      <ComesBack />
    </>
  )
}

/** What has the focus; of a menu, which is gone by then, the button that opened it. */
function openerNow(): Element | null {
  const menu = document.activeElement?.closest('[role=menu]')?.getAttribute('aria-labelledby')
  return menu ? document.getElementById(menu) : document.activeElement
}

function ComesBack() {
  const [opener] = useState(openerNow)
  useEffect(
    () => () => {
      setTimeout(() => {
        const isLost = document.activeElement === null || document.activeElement === document.body
        if (isLost && opener instanceof HTMLElement && opener.isConnected) opener.focus()
      })
    },
    [opener],
  )
  return null
}
