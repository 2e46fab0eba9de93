#!/usr/bin/env node
// The version is answered without loading anything else; sources run as they are in a checkout, compiled when installed.
import { existsSync, readFileSync } from 'node:fs'
import module from 'node:module'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'

const isOld = Number(process.versions.node.split('.')[0]) < 24
const ownNode = fileURLToPath(new URL('../../node_modules/node/bin/node', import.meta.url))
const [first, ...rest] = process.argv.slice(2)
if (rest.length === 0 && (first === '--version' || first === '-V')) {
  console.log(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version)
} else if (isOld && existsSync(ownNode)) {
  // A checkout has brought a Node of its own.
  const { spawn } = await import('node:child_process')
  const child = spawn(ownNode, process.argv.slice(1), { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.once('exit', code => process.exit(code ?? 1))
} else if (isOld) {
  console.error(`ferry needs Node 24 or later; this is ${process.versions.node}. In a checkout: npm run ferry -- ...`)
  process.exitCode = 2
} else {
  if (first === 'serve') {
    // It lives for months beside others: memory is given back early, and collected a little more often for it.
    setFlagsFromString('--semi-space-growth-factor=1')
    setFlagsFromString('--heap-growing-percent=20')
    setFlagsFromString('--optimize-for-size')
  }
  // Stripped types and compiled code are kept: the second start takes half as long.
  module.enableCompileCache()
  const source = new URL('../src/cli/main.ts', import.meta.url)
  await import(existsSync(source) ? source.href : new URL('../dist/main.js', import.meta.url).href)
}
