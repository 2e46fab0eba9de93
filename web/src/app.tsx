/** The frame of all pages: navigation, who is signed in, whether the server is there. */
import {
  Button,
  Menu,
  MenuItem,
  MenuList,
  MenuPopover,
  MenuTrigger,
  MessageBar,
  MessageBarBody,
  makeStyles,
  Spinner,
  Text,
  Toaster,
  tokens,
} from '@fluentui/react-components'
import {
  ClipboardTaskListLtrRegular,
  DatabaseLinkRegular,
  FlowRegular,
  PersonRegular,
  PulseRegular,
  ShieldKeyholeRegular,
} from '@fluentui/react-icons'
import { useQuery } from '@tanstack/react-query'
import { lazy, Suspense } from 'react'
import { Link, Redirect, Route, Switch, useLocation } from 'wouter'
import { may, type SessionView, sessionQuery, signOut } from './api.ts'
import { useLive } from './live.ts'
import { ConnectionsPage } from './pages/connections.tsx'
import { JobPage } from './pages/job.tsx'
import { JobsPage } from './pages/jobs.tsx'
import { MonitorPage } from './pages/monitor.tsx'
import { NewFilePage } from './pages/newfile.tsx'
import { RunPage } from './pages/run.tsx'
import { SignInPage } from './pages/signin.tsx'
import { Empty } from './parts/empty.tsx'
import { Failure } from './parts/failure.tsx'
import { OtherLink } from './parts/otherlink.tsx'
import { SessionContext } from './parts/session.ts'
import { TOASTER } from './parts/tell.tsx'

const WizardPage = lazy(() => import('./wizard/page.tsx'))
const FactoriesPage = lazy(() => import('./pipelines/factories.tsx'))
const FactoryPage = lazy(() => import('./pipelines/factory.tsx'))
const DataFlowPage = lazy(() => import('./pipelines/dataflow.tsx'))
const PipelinePage = lazy(() => import('./pipelines/pipeline.tsx'))
const PipelineRunPage = lazy(() => import('./pipelines/run.tsx'))
const AccessPage = lazy(() => import('./pages/access.tsx'))

const useStyles = makeStyles({
  frame: { height: '100%', display: 'grid', gridTemplateRows: 'auto auto 1fr', gridTemplateColumns: '200px 1fr' },
  top: {
    gridColumn: '1 / 3',
    display: 'flex',
    alignItems: 'center',
    gap: '12px',
    padding: '6px 16px',
    borderBottom: `1px solid ${tokens.colorNeutralStroke2}`,
    backgroundColor: tokens.colorNeutralBackground1,
  },
  brand: {
    display: 'flex',
    alignItems: 'center',
    gap: '8px',
    textDecorationLine: 'none',
    color: tokens.colorNeutralForeground1,
    flexGrow: 1,
  },
  lost: { gridColumn: '1 / 3' },
  nav: {
    gridRow: 3,
    display: 'flex',
    flexDirection: 'column',
    gap: '2px',
    padding: '12px 8px',
    borderRight: `1px solid ${tokens.colorNeutralStroke2}`,
    backgroundColor: tokens.colorNeutralBackground2,
  },
  link: {
    display: 'flex',
    alignItems: 'center',
    gap: '10px',
    padding: '8px 10px',
    borderRadius: tokens.borderRadiusMedium,
    color: tokens.colorNeutralForeground2,
    textDecorationLine: 'none',
    ':hover': { backgroundColor: tokens.colorNeutralBackground2Hover },
  },
  here: {
    backgroundColor: tokens.colorNeutralBackground2Selected,
    color: tokens.colorNeutralForeground1,
    fontWeight: tokens.fontWeightSemibold,
  },
  main: { gridRow: 3, overflow: 'auto', padding: '20px 28px', backgroundColor: tokens.colorNeutralBackground1 },
})

const PLACES = [
  { path: '/jobs', name: 'Jobs', icon: <ClipboardTaskListLtrRegular fontSize={20} /> },
  { path: '/monitor', name: 'Monitor', icon: <PulseRegular fontSize={20} /> },
  { path: '/factories', name: 'Factories', icon: <FlowRegular fontSize={20} /> },
  { path: '/connections', name: 'Connections', icon: <DatabaseLinkRegular fontSize={20} /> },
  { path: '/access', name: 'Access', icon: <ShieldKeyholeRegular fontSize={20} />, admin: true },
]

/** Pages that belong to a place and have addresses of their own. */
const BEHIND: Record<string, string> = { '/jobs': '/runs', '/factories': '/pipelineruns' }

export function App() {
  const session = useQuery(sessionQuery)
  if (session.isError) return <Failure error={session.error} />
  if (session.isPending) return <Spinner label="Loading" style={{ height: '100%' }} />
  if (session.data === null) return <SignInPage />
  return (
    <SessionContext value={session.data}>
      <Frame session={session.data} />
      <OtherLink session={session.data} />
      <Toaster toasterId={TOASTER} />
    </SessionContext>
  )
}

function NotAllowed() {
  return (
    <Empty title="Jobs are made and edited by administrators">
      <Link href="/jobs">To the jobs</Link>
    </Empty>
  )
}

function Frame({ session }: { session: SessionView }) {
  const styles = useStyles()
  const [place] = useLocation()
  const connected = useLive()
  return (
    <div className={styles.frame}>
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <header className={styles.top}>
        <Link href="/jobs" className={styles.brand}>
          <img src={new URL('./icon.svg', import.meta.url).href} alt="" width={24} height={24} />
          <Text weight="semibold" size={400}>
            Ferry
          </Text>
        </Link>
        <Menu>
          <MenuTrigger>
            <Button appearance="subtle" icon={<PersonRegular />}>
              {session.name} ({session.role})
            </Button>
          </MenuTrigger>
          <MenuPopover>
            <MenuList>
              <MenuItem onClick={() => window.open('/docs', '_blank', 'noopener')}>API</MenuItem>
              <MenuItem onClick={() => signOut()}>Sign out</MenuItem>
            </MenuList>
          </MenuPopover>
        </Menu>
      </header>
      <div className={styles.lost} aria-live="polite">
        {!connected && (
          <MessageBar intent="warning">
            <MessageBarBody>The server does not answer. What you see may be old; this page tries again.</MessageBarBody>
          </MessageBar>
        )}
      </div>
      <nav className={styles.nav} aria-label="Pages">
        {PLACES.filter(p => !p.admin || may(session, 'admin')).map(({ path, name, icon }) => {
          const here = place.startsWith(path) || place.startsWith(BEHIND[path] ?? ' ')
          return (
            <Link
              key={path}
              href={path}
              className={here ? `${styles.link} ${styles.here}` : styles.link}
              aria-current={here ? 'page' : undefined}
            >
              {icon}
              {name}
            </Link>
          )
        })}
      </nav>
      <main id="main" className={styles.main} tabIndex={-1}>
        <Suspense fallback={<Spinner label="Loading" />}>
          <Switch>
            <Route path="/">
              <Redirect to="/jobs" />
            </Route>
            <Route path="/jobs" component={JobsPage} />
            <Route path="/jobs/new">{may(session, 'admin') ? <WizardPage /> : <NotAllowed />}</Route>
            <Route path="/jobs/new/file">{may(session, 'admin') ? <NewFilePage /> : <NotAllowed />}</Route>
            <Route path="/jobs/:name/edit">
              {({ name }) => (may(session, 'admin') ? <WizardPage name={decodeURIComponent(name)} /> : <NotAllowed />)}
            </Route>
            <Route path="/jobs/:name/:tab?">
              {({ name, tab }) => <JobPage name={decodeURIComponent(name)} tab={tab ?? 'run'} />}
            </Route>
            <Route path="/runs/:id">{({ id }) => <RunPage id={decodeURIComponent(id)} />}</Route>
            <Route path="/monitor" component={MonitorPage} />
            <Route path="/factories" component={FactoriesPage} />
            <Route path="/factories/:name/dataflows/:flow">
              {({ name, flow }) => <DataFlowPage factory={decodeURIComponent(name)} name={decodeURIComponent(flow)} />}
            </Route>
            <Route path="/factories/:name/pipelines/:pipeline">
              {({ name, pipeline }) => (
                <PipelinePage factory={decodeURIComponent(name)} name={decodeURIComponent(pipeline)} />
              )}
            </Route>
            <Route path="/factories/:name/:tab?">
              {({ name, tab }) => <FactoryPage name={decodeURIComponent(name)} tab={tab ?? 'pipelines'} />}
            </Route>
            <Route path="/pipelineruns/:id">{({ id }) => <PipelineRunPage id={decodeURIComponent(id)} />}</Route>
            <Route path="/connections" component={ConnectionsPage} />
            <Route path="/access" component={AccessPage} />
            <Route>
              <Empty title="There is no such page">
                <Link href="/jobs">To the jobs</Link>
              </Empty>
            </Route>
          </Switch>
        </Suspense>
      </main>
    </div>
  )
}
