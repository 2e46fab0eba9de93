/** The sample shop: five related tables with the values that make copies go wrong. The same seed, the same shop. */
import { mkdirSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

const TABLES = `
  CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT, born DATE, vip BOOLEAN NOT NULL,
    balance DECIMAL TEXT(12,2), profile JSON TEXT, joined TIMESTAMPTZ TEXT NOT NULL);
  CREATE TABLE products (sku TEXT PRIMARY KEY, title TEXT NOT NULL, price DECIMAL TEXT(10,2) NOT NULL, weight REAL,
    picture BLOB, tags JSON TEXT, code UUID TEXT NOT NULL);
  CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers(id),
    placed_at TIMESTAMP TEXT NOT NULL, total DECIMAL TEXT(12,2) NOT NULL, status VARCHAR(12) NOT NULL, note TEXT);
  CREATE TABLE order_lines (order_id INTEGER NOT NULL REFERENCES orders(id), line INTEGER NOT NULL,
    sku TEXT NOT NULL REFERENCES products(sku), quantity INTEGER NOT NULL, price DECIMAL TEXT(10,2) NOT NULL,
    PRIMARY KEY (order_id, line));
  CREATE TABLE events (id INTEGER PRIMARY KEY, at TIMESTAMPTZ TEXT NOT NULL, kind TEXT NOT NULL, serial INTEGER,
    reading REAL, at_time TIME TEXT, payload JSON TEXT)`

const NAMES = ['Ada', 'Björk', 'Chloë', '李雷', 'Олег', 'José', 'Zoë 🚲', "O'Hara", 'Quo"ted', 'Tab\there']
const NOTES = [
  null,
  '',
  'ring twice',
  'line one\nline two',
  'semi;colon, comma',
  '“curly” quotes',
  '🎁 gift',
  '\\N',
  ' padded ',
]
const KINDS = ['view', 'cart', 'pay', 'heartbeat', 'return']

/** Makes the database anew; gives back how many rows it has. */
export function makeShop(path: string, scale = 1): number {
  mkdirSync(dirname(path), { recursive: true })
  for (const ending of ['', '-wal', '-shm', '-journal']) rmSync(path + ending, { force: true })
  const db = new DatabaseSync(path)
  db.exec('PRAGMA journal_mode = WAL')
  db.exec(TABLES)
  const random = generator(20260101)
  const pick = <T>(items: T[]): T => items[Math.floor(random() * items.length)]!
  const day = (n: number) => new Date(Date.UTC(2020, 0, 1) + n * 86_400_000).toISOString().slice(0, 10)
  const money = (most: number) => (Math.floor(random() * most * 100) / 100).toFixed(2)
  const counts = { customers: 8_000 * scale, products: 1_000, orders: 40_000 * scale, events: 80_000 * scale }
  let rows = 0
  const insert = (table: string, width: number) => {
    const statement = db.prepare(`INSERT INTO ${table} VALUES (${Array(width).fill('?').join(', ')})`)
    return (...values: (string | number | bigint | null | Uint8Array)[]) => {
      statement.run(...values)
      rows++
    }
  }
  db.exec('BEGIN')
  const customer = insert('customers', 8)
  for (let id = 1; id <= counts.customers; id++) {
    const name = `${pick(NAMES)} ${id}`
    const profile =
      id % 7 === 0
        ? null
        : `{"visits": ${id * 3}, "limit": 12345678901234567890.${id}, "name": ${JSON.stringify(name)}}`
    const born = id % 11 === 0 ? null : `${1940 + (id % 70)}-0${1 + (id % 9)}-1${id % 10}`
    customer(
      id,
      name,
      id % 5 === 0 ? null : `user${id}@example.org`,
      born,
      id % 9 === 0 ? 1 : 0,
      id % 13 === 0 ? null : `-${money(5000)}`,
      profile,
      `${day(id % 2000)} 08:${String(id % 60).padStart(2, '0')}:00.${String(id % 1_000_000).padStart(6, '0')}+00`,
    )
  }
  const product = insert('products', 7)
  for (let n = 1; n <= counts.products; n++) {
    const sku = `SKU-${String(n).padStart(5, '0')}`
    const picture = n % 3 === 0 ? null : Uint8Array.from({ length: 32 }, (_, i) => (n * i) % 256)
    product(
      sku,
      `${pick(['Lamp', 'Chaise longue', 'Стул', '机の上'])} ${n}`,
      money(900),
      n % 17 === 0 ? Infinity : random() * 50,
      picture,
      n % 4 === 0 ? '[]' : `["t${n % 9}", null, "ü"]`,
      `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`,
    )
  }
  const order = insert('orders', 6)
  const line = insert('order_lines', 5)
  for (let id = 1; id <= counts.orders; id++) {
    order(
      id,
      1 + Math.floor(random() * counts.customers),
      `${day(id % 2300)} ${String(id % 24).padStart(2, '0')}:15:00`,
      money(4000),
      pick(['new', 'paid', 'shipped', 'returned']),
      pick(NOTES),
    )
    const lines = 1 + (id % 3)
    for (let n = 1; n <= lines; n++) {
      line(
        id,
        n,
        `SKU-${String(1 + Math.floor(random() * counts.products)).padStart(5, '0')}`,
        1 + (id % 4),
        money(900),
      )
    }
  }
  const event = insert('events', 7)
  for (let id = 1; id <= counts.events; id++) {
    const serial = id % 1000 === 0 ? 9_223_372_036_854_775_807n - BigInt(id) : id
    event(
      id,
      `${day(id % 2300)} 23:59:59.${String((id * 7) % 1_000_000).padStart(6, '0')}+00`,
      pick(KINDS),
      serial,
      id % 10 === 0 ? null : (random() - 0.5) * 10 ** (id % 30),
      `${String(id % 24).padStart(2, '0')}:00:00`,
      id % 3 === 0 ? null : `{"n": ${id}, "deep": {"list": [1, 2.50, "x"]}}`,
    )
  }
  db.exec('COMMIT')
  db.close()
  return rows
}

/** Mulberry32: small, and the same everywhere. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}
