import {
  Button,
  DialogActions,
  DialogBody,
  DialogContent,
  DialogTitle,
  DialogTrigger,
} from '@fluentui/react-components'
import type { ReactNode } from 'react'
import { Surface } from './surface.tsx'

interface Props {
  title: string
  children: ReactNode
  /** The label of the button that closes it. */
  close: string
  /** Buttons beside that one. */
  actions?: ReactNode
  wide?: boolean
}

/** What a dialog shows, with a button that closes it. */
export function Question({ title, children, close, actions, wide }: Props) {
  return (
    <Surface {...(wide ? { style: { maxWidth: '90vw' } } : {})}>
      <DialogBody>
        <DialogTitle>{title}</DialogTitle>
        <DialogContent>{children}</DialogContent>
        <DialogActions>
          <DialogTrigger disableButtonEnhancement>
            <Button>{close}</Button>
          </DialogTrigger>
          {actions}
        </DialogActions>
      </DialogBody>
    </Surface>
  )
}
