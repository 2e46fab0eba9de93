import { Button, Dialog, DialogTrigger } from '@fluentui/react-components'
import type { ReactElement } from 'react'
import { Question } from './question.tsx'

interface Props {
  title: string
  text: string
  action: string
  onConfirm: () => void
  children: ReactElement
}

/** Asks before something is done that cannot be undone. */
export function Confirm({ title, text, action, onConfirm, children }: Props) {
  return (
    <Dialog modalType="alert">
      <DialogTrigger disableButtonEnhancement>{children}</DialogTrigger>
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
    </Dialog>
  )
}
