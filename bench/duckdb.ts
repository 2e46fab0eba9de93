/** DuckDB's own command line, as far as the benchmarks need it: runs the statement that it is given. */
import { DuckDBInstance } from '@duckdb/node-api'

const instance = await DuckDBInstance.create(':memory:')
const connection = await instance.connect()
await connection.run(process.argv[2]!)
