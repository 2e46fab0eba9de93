"""What the independent readers see in source files: Python's csv and json, and pyarrow."""
import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq

from cells import Clock, Day, Float, Num, Obj, Raw, Stamp, parse_json

csv.field_size_limit(1 << 30)


class Invalid(Exception):
    """The file is not in its format, so a copy of it should be refused."""


class Table:
    """
    names: of the columns; rows: lists of cells; optional: numbers of rows that a reader may leave out; doubled: whether a
    record has two members of one name, which is for those to keep who carry records as they are.
    """

    doubled = False

    def __init__(self, names, rows, optional=()):
        self.names, self.rows, self.optional = names, rows, set(optional)


def read(source):
    reader = {"csv": read_csv, "jsonl": read_jsonl, "json": read_json, "parquet": read_parquet}[source["format"]]
    tables = [reader(path, source) for path in source["files"]]
    if source["format"] == "csv" and any(t.names is None for t in tables):
        # Files without a record have no columns to be united with.
        tables = [t for t in tables if t.names is not None] or [Table([], [])]
    table = united(tables)
    table.doubled = any(t.doubled for t in tables)
    return table


def united(tables):
    """Rows of several files: by position where the names agree, else by name."""
    names = tables[0].names
    if all(t.names == names for t in tables):
        optional, before = [], 0
        for t in tables:
            optional += [before + i for i in t.optional]
            before += len(t.rows)
        return Table(names, [r for t in tables for r in t.rows], optional)
    all_names = list(dict.fromkeys(n for t in tables for n in t.names))
    if any(len(set(t.names)) != len(t.names) for t in tables):
        raise Invalid("files with different columns, some of them named twice")
    rows = []
    for t in tables:
        at = {n: i for i, n in enumerate(t.names)}
        rows += [[r[at[n]] if n in at else None for n in all_names] for r in t.rows]
    return Table(all_names, rows)


def text_of(path):
    data = open(path, "rb").read()
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig")):
        if data.startswith(mark):
            break
    else:
        encoding = "utf-8"
    try:
        return data.decode(encoding)
    except UnicodeError as error:
        raise Invalid(f"{path}: {error}") from error


def read_csv(path, source):
    try:
        stream = io.StringIO(text_of(path), newline="")
        records = list(csv.reader(stream, delimiter=source["delimiter"], strict=True))
    except csv.Error as error:
        raise Invalid(f"{path}: {error}") from error
    if not source["header"]:
        width = next((len(r) for r in records if r), 0)
        names = [f"column{i + 1}" for i in range(width)] if width else None
    else:
        while records and not records[0]:
            records = records[1:]
        names = records[0] if records else None
        records = records[1:]
    width = len(names or [])
    rows, optional = [], []
    for record in records:
        if not record:
            # An empty line is a record with one empty field, or nothing; with more columns it is nothing.
            if width == 1:
                optional.append(len(rows))
                rows.append([None])
            continue
        if len(record) != width:
            raise Invalid(f"{path}: a record has {len(record)} fields, the file {width}")
        rows.append([cell if cell != "" else None for cell in record])
    return Table(names, rows, optional)


def table_of(objects):
    for o in objects:
        if not isinstance(o, Obj):
            raise Invalid("a record is no object")
    names = list(dict.fromkeys(k for o in objects for k, _ in o.pairs))
    table = Table(names, [[dict(o.pairs).get(n) for n in names] for o in objects])
    table.doubled = any(len({k for k, _ in o.pairs}) != len(o.pairs) for o in objects)
    return table


def read_jsonl(path, _):
    try:
        return table_of([parse_json(line) for line in text_of(path).split("\n") if line.strip() != ""])
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{path}: {error}") from error


def read_json(path, _):
    try:
        text = text_of(path)
        # An empty file has no elements.
        value = parse_json(text) if text != "" else []
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{path}: {error}") from error
    if not isinstance(value, list):
        raise Invalid(f"{path}: no array")
    return table_of(value)


def read_parquet(path, _):
    table = pq.ParquetFile(path).read()
    return arrow_table(table)


def arrow_table(table):
    columns = [cells_of(c) for c in table.columns]
    made = Table(list(table.column_names), [list(r) for r in zip(*columns)] if columns else [])
    made.json = [isinstance(c.type, pa.JsonType) for c in table.columns]
    return made


PER = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def cells_of(column):
    """The cells of an arrow column."""
    kind = column.type
    if isinstance(column, pa.ChunkedArray):
        return [c for chunk in column.chunks for c in cells_of(chunk)]
    return [cell(column[i], kind) for i in range(len(column))]


def cell(scalar, kind):
    if not scalar.is_valid:
        return None
    if isinstance(kind, pa.UuidType):
        return str(scalar.as_py())
    if isinstance(kind, pa.BaseExtensionType):
        return cell(scalar.value, kind.storage_type)
    if pa.types.is_dictionary(kind):
        return cell(scalar.value, kind.value_type)
    if pa.types.is_boolean(kind):
        return scalar.as_py()
    if pa.types.is_integer(kind):
        return Num(str(scalar.as_py()))
    if pa.types.is_decimal(kind):
        return Num(format(scalar.as_py(), "f"))
    if pa.types.is_floating(kind):
        return Float(float(scalar.as_py()), 64 if pa.types.is_float64(kind) else 32)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return scalar.as_py()
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return Raw(scalar.as_py())
    if pa.types.is_date32(kind):
        return Day(scalar.value)
    if pa.types.is_date64(kind):
        return Day(scalar.value // 86_400_000)
    if pa.types.is_timestamp(kind):
        return Stamp(scalar.value * PER[kind.unit], kind.tz is not None)
    if pa.types.is_time(kind):
        return Clock(scalar.value * PER[kind.unit])
    if pa.types.is_duration(kind):
        return Num(str(scalar.value))
    if pa.types.is_map(kind):
        return Obj([(key(k, kind.key_type), cell(v, kind.item_type)) for k, v in entries(scalar)])
    if pa.types.is_struct(kind):
        return Obj([(f.name, cell(scalar[i], f.type)) for i, f in enumerate(kind)])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return cells_of(scalar.values)
    raise Invalid(f"a column of type {kind}")


def entries(scalar):
    return [(pair[0], pair[1]) for pair in scalar.values]


def key(scalar, kind):
    found = cell(scalar, kind)
    return found.text if isinstance(found, Num) else found
