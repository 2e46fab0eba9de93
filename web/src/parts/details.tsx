/** More about something, in a dialog that what stands for it opens. */
import {
  Button,
  Dialog,
  DialogActions,
  DialogBody,
  DialogContent,
  DialogSurface,
  DialogTitle,
  DialogTrigger,
} from '@fluentui/react-components'
import type { ReactElement, ReactNode } from 'react'

interface Props {
  title: string
  /** The button that opens it. */
  open: ReactElement
  wide?: boolean
  children: ReactNode
}

export function Details({ title, open, wide, children }: Props) {
  return (
    <Dialog>
      <DialogTrigger disableButtonEnhancement>{open}</DialogTrigger>
      <DialogSurface {...(wide ? { style: { maxWidth: '90vw' } } : {})}>
        <DialogBody>
          <DialogTitle>{title}</DialogTitle>
          <DialogContent>{children}</DialogContent>
          <DialogActions>
            <DialogTrigger disableButtonEnhancement>
              <Button>Close</Button>
            </DialogTrigger>
          </DialogActions>
        </DialogBody>
      </DialogSurface>
    </Dialog>
  )
}
