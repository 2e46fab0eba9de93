import {
  createDOMRenderer,
  FluentProvider,
  RendererProvider,
  SSRProvider,
  webDarkTheme,
  webLightTheme,
} from '@fluentui/react-components'
import { QueryClientProvider } from '@tanstack/react-query'
import { StrictMode, useEffect, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { client } from './api.ts'
import { App } from './app.tsx'

const nonce = document.querySelector<HTMLMetaElement>('meta[name=csp-nonce]')?.content ?? ''
const renderer = createDOMRenderer(document, { styleElementAttributes: { nonce } })
const dark = matchMedia('(prefers-color-scheme: dark)')

function Root() {
  const [isDark, setDark] = useState(dark.matches)
  useEffect(() => {
    const onChange = () => setDark(dark.matches)
    dark.addEventListener('change', onChange)
    return () => dark.removeEventListener('change', onChange)
  }, [])
  return (
    <RendererProvider renderer={renderer}>
      <SSRProvider>
        <FluentProvider theme={isDark ? webDarkTheme : webLightTheme} style={{ height: '100%' }}>
          <QueryClientProvider client={client}>
            <App />
          </QueryClientProvider>
        </FluentProvider>
      </SSRProvider>
    </RendererProvider>
  )
}

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <Root />
  </StrictMode>,
)
