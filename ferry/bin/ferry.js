#!/usr/bin/env node
// The version is answered without loading anything else; sources run as they are in a checkout, compiled when installed.
import { existsSync, readFileSync } from 'node:fs'
import module from 'node:module'

const [first, ...rest] = process.argv.slice(2)
if (rest.length === 0 && (first === '--version' || first === '-V')) {
  console.log(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version)
} else if (Number(process.versions.node.split('.')[0]) < 24) {
  console.error(`ferry needs Node 24 or later; this is ${process.versions.node}. In a checkout: npm run ferry -- ...`)
  process.exitCode = 2
} else {
  // Stripped types and compiled code are kept: the second start takes half as long.
  module.enableCompileCache()
  const source = new URL('../src/cli/main.ts', import.meta.url)
  await import(existsSync(source) ? source.href : new URL('../dist/main.js', import.meta.url).href)
}
