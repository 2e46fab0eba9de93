/** Random Parquet files: what they hold is said here and written by `python/parquet.py`. */
import type { Case, ParquetSpec } from './case.ts'
import type { Random } from './random.ts'

export const TYPES = [
  'null',
  'bool',
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint16',
  'uint32',
  'uint64',
  'decimal(38,10)',
  'decimal(9,2)',
  'decimal(5,5)',
  'decimal256(60,20)',
  'half',
  'float',
  'double',
  'string',
  'large_string',
  'binary',
  'fixed(16)',
  'date32',
  'date32 far',
  'date64',
  'time32[s]',
  'time32[ms]',
  'time64[us]',
  'time64[ns]',
  'timestamp[s]',
  'timestamp[ms]',
  'timestamp[us]',
  'timestamp[ns]',
  'timestamp[ms,tz]',
  'timestamp[us,tz]',
  'timestamp[ns,tz]',
  'duration[us]',
  'duration[ns]',
  'dictionary',
  'list<int64>',
  'list<string>',
  'list<list<int32>>',
  'list<decimal>',
  'list<double>',
  'list<timestamp[ns]>',
  'list<binary>',
  'fixed list',
  'struct',
  'struct of struct',
  'map<string,int64>',
  'map<int64,string>',
]

const NAMES = [
  'c',
  'a b',
  '',
  'A',
  'a',
  'ü',
  'x'.repeat(70),
  '__proto__',
  'a"b',
  'file_row_number',
  'filename',
  'ctid',
  'rowid',
  'a.b',
  'a,b',
  ' a',
  '1',
]

export function parquetCase(seed: number, r: Random): Case {
  const several = r.chance(0.2)
  const odd = r.chance(0.25)
  const columns = Array.from({ length: r.integer(1, 3) }, (_, i) => ({
    name: odd && r.chance(0.5) ? r.pick(NAMES) : `c${i}`,
    type: r.pick(TYPES),
  }))
  const spec = (f: number): ParquetSpec => {
    const own = [...columns]
    if (f > 0 && r.chance(0.4)) own.reverse()
    if (f > 0 && r.chance(0.3)) own[0] = { name: own[0]!.name, type: r.pick(TYPES) }
    if (f > 0 && r.chance(0.3)) own.push({ name: 'extra', type: r.pick(TYPES) })
    if (f > 0 && own.length > 1 && r.chance(0.2)) own.pop()
    return {
      seed: `${seed}/${f}`,
      columns: own,
      rows: r.pick([0, 1, 5, 20, 20]),
      repeat: r.chance(0.03) ? 3000 : 1,
      codec: r.pick(['none', 'snappy', 'gzip', 'zstd', 'lz4', 'brotli']),
      group: r.pick([1, 3, 1000, 1_000_000]),
      version: r.pick(['1.0', '2.4', '2.6', '2.6']),
      dictionary: r.chance(0.5),
      int96: r.chance(0.2),
      storeSchema: r.chance(0.7),
      page: r.pick(['1.0', '2.0']),
    }
  }
  const files = Array.from({ length: several ? 2 : 1 }, (_, f) => ({ name: `in${f}.parquet`, parquet: spec(f) }))
  return {
    seed,
    format: 'parquet',
    files,
    object: several ? 'in*.parquet' : 'in0.parquet',
    read: {},
    csv: { delimiter: ',', header: true },
    oddities: files.flatMap(f => f.parquet.columns.map(c => `${c.name.slice(0, 10)}: ${c.type}`)),
  }
}
