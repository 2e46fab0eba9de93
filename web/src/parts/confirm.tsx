import { Button, Dialog, DialogTrigger } from '@fluentui/react-components'
import type { ReactElement } from 'react'
import { Question } from './question.tsx'

interface AskProps {
  title: string
  text: string
  action: string
  onConfirm: () => void
}

function Ask({ title, text, action, onConfirm }: AskProps) {
  return (
    <Question
      title={title}
      close="No"
      actions={
        <DialogTrigger disableButtonEnhancement>
          <Button appearance="primary" onClick={onConfirm}>
            {action}
          </Button>
        </DialogTrigger>
      }
    >
      {text}
    </Question>
  )
}

/** Asks before something is done that cannot be undone. */
export function Confirm({ children, ...ask }: AskProps & { children: ReactElement }) {
  return (
    <Dialog modalType="alert">
      <DialogTrigger disableButtonEnhancement>{children}</DialogTrigger>
      <Ask {...ask} />
    </Dialog>
  )
}

/** The same, asked from a menu: in one, Tab would close the menu and the question with it. */
export function Asked({ onClose, ...ask }: AskProps & { onClose: () => void }) {
  return (
    <Dialog modalType="alert" open onOpenChange={(_, { open }) => !open && onClose()}>
      <Ask {...ask} />
    </Dialog>
  )
}
