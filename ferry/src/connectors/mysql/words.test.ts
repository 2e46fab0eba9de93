/** Statements that MySQL 8 parses too: the tests' own server is a MariaDB, which reserves fewer words. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

/** Reserved by MySQL 8.0 to 9 and not by MariaDB: https://dev.mysql.com/doc/refman/8.4/en/keywords.html */
const RESERVED = new Set(
  `cube cume_dist dense_rank empty except first_value function grouping groups intersect json_table lag last_value lateral
   lead library manual nth_value ntile of over parallel percent_rank qualify rank recursive row row_number rows system
   tablesample window`.split(/\s+/),
)

it('no name after AS is a reserved word of MySQL 8', () => {
  const files = globSync(join(import.meta.dirname, '*.ts')).filter(path => !path.endsWith('.test.ts'))
  const names = files.flatMap(path => [...readFileSync(path, 'utf8').matchAll(/\bAS (\w+)/g)].map(m => m[1]!))
  expect(names.length).toBeGreaterThan(20)
  expect(names.filter(name => RESERVED.has(name.toLowerCase()))).toEqual([])
})
