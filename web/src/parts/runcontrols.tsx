/** What can be done with a run. */
import { Button } from '@fluentui/react-components'
import { CheckmarkCircleRegular, DismissCircleRegular, PauseRegular, PlayRegular } from '@fluentui/react-icons'
import { act, type RunView } from '../api.ts'
import { Confirm } from './confirm.tsx'
import { useMay } from './session.ts'
import { isOver } from './status.tsx'
import { useAct } from './tell.tsx'

/** Pause, resume, cancel, complete: those that the run's state allows. */
export function RunControls({ run }: { run: RunView }) {
  const mayAct = useMay('operator')
  const control = useAct((verb: 'pause' | 'resume' | 'cancel' | 'complete') => act.control(run.id, verb))
  if (!mayAct || (isOver(run.state) && !run.resumable)) return null
  const stands = run.resumable
  const busy = control.isPending || (run.wish !== null && run.executing)
  return (
    <>
      {stands ? (
        <Button appearance="primary" icon={<PlayRegular />} disabled={busy} onClick={() => control.mutate('resume')}>
          Resume
        </Button>
      ) : (
        <Button icon={<PauseRegular />} disabled={busy} onClick={() => control.mutate('pause')}>
          Pause
        </Button>
      )}
      {run.mode === 'online' && !stands && (
        <Confirm
          title="Complete the copy?"
          text="It ends with what its source holds now. Stop writing to the source first, where nothing may be missed."
          action="Complete"
          onConfirm={() => control.mutate('complete')}
        >
          <Button icon={<CheckmarkCircleRegular />} disabled={busy || run.state === 'completing'}>
            Complete
          </Button>
        </Confirm>
      )}
      <Confirm
        title="Cancel the run?"
        text="It stops for good. What it has not published yet is removed; rows that others see already stay."
        action="Cancel the run"
        onConfirm={() => control.mutate('cancel')}
      >
        <Button icon={<DismissCircleRegular />} disabledFocusable={control.isPending}>
          Cancel
        </Button>
      </Confirm>
    </>
  )
}
