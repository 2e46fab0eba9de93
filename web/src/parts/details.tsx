/** Details in a dialog, opened by a button or a link. */
import { Dialog, DialogTrigger } from '@fluentui/react-components'
import type { ReactElement, ReactNode } from 'react'
import { Question } from './question.tsx'

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
      <Question title={title} close="Close" wide={wide}>
        {children}
      </Question>
    </Dialog>
  )
}
