/** Advice of the server in the words of a page: it names commands, a page has buttons. */

const SAID: [RegExp, string][] = [
  [/`?ferry connections test \S+?`?(?=[.,;:) ]|$)/g, 'Test connection'],
  [/`?ferry connections list`?/g, 'the page Connections'],
  [/`?ferry connections add [^\n]*/g, 'on the page Connections'],
  [/Start again(?: with)?:? (?:ferry run \S+ )?`?--full-refresh`?/g, 'Use Run with full refresh'],
  [/`?ferry run \S+ --full-refresh`?/g, 'Run with full refresh'],
  [/`?ferry reset \S+?`?(?=[.,;:) ]|$)/g, 'Reset of the job'],
  [/; or leave there what it has written: ferry delete \S+ --force/g, ''],
  [/`?ferry resume \S+?`?(?=[.,;:) ]|$)/g, 'Resume'],
  [/`?ferry cancel \S+?`?(?=[.,;:) ]|$)/g, 'Cancel'],
  [/`?ferry skipped \S+?`?(?=[.,;:) ]|$)/g, 'the list of skipped rows'],
  [/`?ferry retry \S+?`?(?=[.,;:) ]|$)/g, 'Copy them again'],
  [/`?ferry list`?/g, 'the page Jobs'],
  [/`?ferry runs`?/g, 'the page Monitor'],
  [/`?ferry plan(?: \S+?)?`?(?=[.,;:) ]|$)/g, 'Plan of the job'],
  [/, with the output of `ferry show RUN --json`/g, ''],
  [/`?ferry show \S+?`?(?=[.,;:) ]|$)/g, 'the run'],
  [/ \(`--update merge`\)/g, ''],
  [/For example --set [^\n]*/g, 'Take another name for it.'],
  [/ \(ferry copy: [^)]*\)/g, ''],
  [/, or name a variables file with --variables/g, ''],
  [/ A connector of your own is loaded with --connector FILE\./g, ''],
  [/, or start the server with --folder/g, ', or ask who runs the server for this folder'],
  [
    /Its operator lets a server take it: ferry serve --variable \S+/g,
    'Ask who runs the server to let it take this variable.',
  ],
  [/ Start the server with --folder for another one\./g, ' Ask who runs the server for another one.'],
  [/or copy with --mode Offline/g, 'or copy in another mode'],
  [/, with --full-refresh/g, ', by Run with full refresh'],
  [/, or start it with --allowed-host NAME/g, ''],
  [/See `?ferry adf list`?/g, 'See the page Factories'],
  [/^`?ferry adf resume \S+?`?$/g, 'Wait until it has ended, or cancel it.'],
  [/: ferry adf rerun \S+/g, '.'],
  [/`?ferry adf cancel \S+?`?(?=[.,;:) ]|$)/g, 'Cancel'],
  [/Give it: --parameter [^\n]*/g, 'Give it a value.'],
  [/Give them in a file: --parameters FILE/g, 'Give them in a file of parameters'],
  [
    /If this machine reaches it too: --runtime (\S+)=local/g,
    'If the server reaches it too, name $1 among the runtimes of the factory',
  ],
  [/(?:: |^)--redirect FILE with (linkedServices: [^\n]*)/g, ' in the file of redirects: $1'],
  [/(?:: | \()--redirect FILE\)?/g, ' in the file of redirects'],
  [/, or give --parameters FILE/g, ', or give a file of parameters'],
  [/Start one: ferry serve; an address that others reach is its --public-url/g, 'Ask who runs the server'],
  [/: --port 0 takes a port that is free/g, ''],
  [/Start it: ferry serve; or check its address/g, 'Wait until it is there again'],
]

export function pageWords(text: string): string {
  return SAID.reduce((told, [command, words]) => told.replace(command, words), text)
}
