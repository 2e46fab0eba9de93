/** One example of each command: its help shows it, and so does the error of a missing argument. */
const job = '-a shop --job-name orders'

export const EXAMPLES: Record<string, string> = {
  copy: "ferry copy 'orders*.csv' postgres://me@db/shop#public.orders --update merge --key id",
  run: 'ferry run nightly.yaml --set DAY=2026-11-21',
  plan: 'ferry plan nightly.yaml',
  verify: 'ferry verify nightly.yaml --table public.orders',
  list: 'ferry list --json',
  runs: 'ferry runs nightly --most 5',
  show: 'ferry show nightly',
  pause: 'ferry pause nightly',
  cancel: 'ferry cancel nightly',
  complete: 'ferry complete nightly',
  resume: 'ferry resume nightly',
  reset: 'ferry reset nightly --table public.orders',
  create: 'ferry create nightly.yaml',
  delete: 'ferry delete nightly',
  start: 'ferry start nightly --wait',
  retry: 'ferry retry nightly',
  skipped: 'ferry skipped nightly > rows.jsonl',
  connections: "ferry connections add shop postgres://me@db/shop --set password='${SHOP_PASSWORD}'",
  serve: 'ferry serve --folder /data --port 7070',
  worker: 'ferry worker --folder /data',
  doctor: 'ferry doctor',
  tokens: 'ferry tokens add ada --role operator',
  'cosmos copy create':
    'ferry cosmos copy create --job-name orders --dest-account shop --src-nosql database=shop container=orders ' +
    '--dest-nosql database=shop container=orders2 --create-targets',
  'cosmos copy list': 'ferry cosmos copy list -a shop -o table',
  'cosmos copy show': `ferry cosmos copy show ${job}`,
  'cosmos copy pause': `ferry cosmos copy pause ${job}`,
  'cosmos copy resume': `ferry cosmos copy resume ${job}`,
  'cosmos copy cancel': `ferry cosmos copy cancel ${job}`,
  'cosmos copy complete': `ferry cosmos copy complete ${job} --wait`,
  'cosmos copy retry': `ferry cosmos copy retry ${job}`,
  'cosmos copy verify': `ferry cosmos copy verify ${job} -o table`,
  'cosmos copy work': 'ferry cosmos copy work -a shop',
}
