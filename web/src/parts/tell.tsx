/** Doing something for the user, and telling what came of it. */
import { Toast, ToastBody, ToastTitle, useToastController } from '@fluentui/react-components'
import { useMutation } from '@tanstack/react-query'
import { client, Problem } from '../api.ts'

export const TOASTER = 'ferry'

/**
 * An action; when it is done what pages show is asked for again, and it is pending until that has come. Where the page
 * shows the error itself, `isTold`, it is not shown twice.
 */
export function useAct<V, R>(
  work: (value: V) => Promise<R>,
  done?: (result: R, value: V) => string | undefined,
  { isTold = false } = {},
) {
  const { dispatchToast } = useToastController(TOASTER)
  return useMutation({
    mutationFn: work,
    onSuccess: (result, value) => {
      const text = done?.(result, value)
      if (text) {
        dispatchToast(
          <Toast>
            <ToastTitle>{text}</ToastTitle>
          </Toast>,
          { intent: 'success', timeout: 4000 },
        )
      }
      return client.invalidateQueries()
    },
    onError: error => {
      if (isTold) return
      const { code, hint } = error instanceof Problem ? error : { code: 'Error', hint: '' }
      dispatchToast(
        <Toast>
          <ToastTitle>{code}</ToastTitle>
          <ToastBody subtitle={hint}>{error.message}</ToastBody>
        </Toast>,
        { intent: 'error', timeout: 12_000 },
      )
    },
  })
}
