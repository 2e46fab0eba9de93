import { mkdirSync, mkdtempSync, writeFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { startS3 } from '/work/main/test/servers/s3.ts'
import { installed } from '/work/main/bench/timing.ts'
const folder = mkdtempSync('/tmp/perf-')
const ferry = await installed(folder)
const server = await startS3()
const b = server.bucket(), out = server.bucket()
for (let i = 0; i < 1000; i++) { mkdirSync(join(folder,'many',String(i%20)),{recursive:true}); writeFileSync(join(folder,'many',String(i%20),`${i}.bin`), Buffer.alloc(1000 + ((i*7919)%200000), i)) }
const job = (name: string, source: object, destination: object, from: string, to: string) => { const p = join(folder, name+'.json'); writeFileSync(p, JSON.stringify({name, source, destination, update:'overwrite', read:{format:'binary'}, write:{format:'binary'}, tables:[{from,to}]})); return p }
const local = (n: string) => ({kind:'files', folder: join(folder,n)})
mkdirSync(join(folder,'copied'))
const jobs = { up: job('up', local('many'), b, './', 'many/'), down: job('down', b, local('copied'), 'many/', './'), across: job('across', b, out, 'many/', 'many/') }
for (const name of (process.argv[2] ?? 'up,down,across').split(',')) {
  if (name === 'down') { rmSync(join(folder,'copied'),{recursive:true}); mkdirSync(join(folder,'copied')) }
  if (name !== 'up') spawnSync('bash',['-c',`${ferry} run --quiet ${jobs.up}`],{env:process.env})
  for (let i=0;i<3;i++){
  const t = performance.now()
  const prof = process.argv[3] && i===2 ? `NODE_OPTIONS="--cpu-prof --cpu-prof-dir=/tmp/prof"` : ''
  const r = spawnSync('bash',['-c',`${prof} ${ferry} run --quiet ${jobs[name as 'up']}`],{env:process.env,encoding:'utf8'})
  console.log(name, ((performance.now()-t)/1000).toFixed(2), r.status, r.status ? r.stderr : '')
  }
}
await server.stop(); rmSync(folder,{recursive:true})
