"""Parquet files of many types, made from a seed."""
import datetime
import decimal
import random

import pyarrow as pa
import pyarrow.parquet as pq

LETTERS = ["", "a", " b ", "ü", "\U0001f600", 'q"q', "a,b", "l\nl", "\r", "\\N", "null", "\0", "007", "x" * 300]


def make(path, spec):
    """spec: seed, rows, columns [{name, type}], codec, group (rows in a row group), int96, version, dictionary, repeat."""
    columns = []
    for column in spec["columns"]:
        rng = random.Random(f"{spec['seed']}/{column['name']}")
        kind, value = TYPES[column["type"]]
        values = [None if rng.random() < 0.15 else value(rng) for _ in range(spec["rows"])]
        if spec["int96"] and column["type"].startswith("timestamp[ns"):
            # What is finer than microseconds is cut of these, which `copy` tells.
            values = [None if v is None else v // 1000 * 1000 for v in values]
        elif spec["int96"] and column["type"].startswith("timestamp"):
            # pyarrow reads these as nanoseconds of 64 bits, whatever they are.
            most = 9 * 10**9 * (1000 if "ms" in column["type"] else 10**6)
            values = [None if v is None else max(-most, min(most, v)) for v in values]
        columns.append(pa.array(values * spec["repeat"], type=kind))
    table = pa.table(columns, names=[c["name"] for c in spec["columns"]])
    pq.write_table(
        table,
        path,
        compression=spec["codec"],
        row_group_size=spec["group"],
        version=spec["version"],
        use_dictionary=spec["dictionary"],
        use_deprecated_int96_timestamps=spec["int96"],
        store_schema=spec["storeSchema"],
        data_page_version=spec["page"],
    )


def whole(bits, signed):
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return lambda rng: rng.choice([low, high, 0, 1, low + 1, high - 1, rng.randint(low, high)])


def decimals(precision, scale):
    def value(rng):
        digits = rng.choice([10**precision - 1, 1, 0, rng.randint(0, 10**precision - 1)])
        context = decimal.Context(prec=100)
        return context.create_decimal(rng.choice([1, -1]) * digits).scaleb(-scale, context)

    return value


def floats(rng):
    return rng.choice([0.0, -0.0, 1.5, 0.1, 1e-300, 1.7976931348623157e308, 5e-324, float("nan"), float("inf"),
                       float("-inf"), rng.uniform(-1e9, 1e9), 9007199254740993.0])


def small_floats(rng):
    return rng.choice([0.0, -0.0, 1.5, float("nan"), float("inf"), 65504.0, 0.25])


def text(rng):
    return rng.choice(LETTERS) + rng.choice(LETTERS)


def data(rng):
    return rng.choice([b"", b"\0", b"\xff\xfe", b"abc", bytes(range(20))])


def stamp(low, high):
    return lambda rng: rng.choice([0, 1, -1, low, high, rng.randint(low, high), 1_700_000_000_123_456_789 % (high + 1)])


def listed(value, most=3):
    return lambda rng: [None if rng.random() < 0.2 else value(rng) for _ in range(rng.randint(0, most))]


def day(rng):
    return rng.choice([datetime.date(1, 1, 1), datetime.date(9999, 12, 31), datetime.date(1970, 1, 1),
                       datetime.date(1582, 10, 10), datetime.date(2024, 2, 29)])


YEARS = 60_000_000_000
TYPES = {
    "null": (pa.null(), lambda rng: None),
    "bool": (pa.bool_(), lambda rng: rng.random() < 0.5),
    "decimal(38,10)": (pa.decimal128(38, 10), decimals(38, 10)),
    "decimal(9,2)": (pa.decimal128(9, 2), decimals(9, 2)),
    "decimal(5,5)": (pa.decimal128(5, 5), decimals(5, 5)),
    "decimal256(60,20)": (pa.decimal256(60, 20), decimals(60, 20)),
    "half": (pa.float16(), None),
    "float": (pa.float32(), lambda rng: rng.choice([0.5, 0.1, -0.0, 3.4028234663852886e38, 1e-45, float("nan"), 16777217.0])),
    "double": (pa.float64(), floats),
    "string": (pa.string(), text),
    "large_string": (pa.large_string(), text),
    "binary": (pa.binary(), data),
    "fixed(16)": (pa.binary(16), lambda rng: rng.randbytes(16)),
    "date32": (pa.date32(), day),
    "date32 far": (pa.date32(), lambda rng: rng.choice([-2_000_000, 2_900_000, 10_000_000, 0])),
    "date64": (pa.date64(), day),
    "time32[s]": (pa.time32("s"), lambda rng: rng.choice([0, 86399, rng.randint(0, 86399)])),
    "time32[ms]": (pa.time32("ms"), lambda rng: rng.choice([0, 86399999, rng.randint(0, 86399999)])),
    "time64[us]": (pa.time64("us"), lambda rng: rng.choice([0, 86399999999, rng.randint(0, 86399999999)])),
    "time64[ns]": (pa.time64("ns"), lambda rng: rng.choice([0, 86399999999999, rng.randint(0, 86399999999999)])),
    "timestamp[s]": (pa.timestamp("s"), stamp(-YEARS, YEARS)),
    "timestamp[ms]": (pa.timestamp("ms"), stamp(-YEARS * 1000, YEARS * 1000)),
    "timestamp[us]": (pa.timestamp("us"), stamp(-YEARS * 10**6, YEARS * 10**6)),
    "timestamp[ns]": (pa.timestamp("ns"), stamp(-9 * 10**18, 9 * 10**18)),
    "timestamp[ms,tz]": (pa.timestamp("ms", "UTC"), stamp(-YEARS * 1000, YEARS * 1000)),
    "timestamp[us,tz]": (pa.timestamp("us", "Europe/Berlin"), stamp(-YEARS * 10**6, YEARS * 10**6)),
    "timestamp[ns,tz]": (pa.timestamp("ns", "UTC"), stamp(-9 * 10**18, 9 * 10**18)),
    "duration[us]": (pa.duration("us"), lambda rng: rng.randint(-(10**15), 10**15)),
    "duration[ns]": (pa.duration("ns"), lambda rng: rng.randint(-(10**15), 10**15)),
    "dictionary": (pa.dictionary(pa.int32(), pa.string()), text),
    "list<int64>": (pa.list_(pa.int64()), listed(whole(64, True))),
    "list<string>": (pa.list_(pa.string()), listed(text)),
    "list<list<int32>>": (pa.list_(pa.list_(pa.int32())), listed(listed(whole(32, True)))),
    "list<decimal>": (pa.list_(pa.decimal128(38, 10)), listed(decimals(38, 10))),
    "list<double>": (pa.list_(pa.float64()), listed(floats)),
    "list<timestamp[ns]>": (pa.list_(pa.timestamp("ns")), listed(stamp(-9 * 10**18, 9 * 10**18))),
    "list<binary>": (pa.list_(pa.binary()), listed(data)),
    "fixed list": (pa.list_(pa.int32(), 2), lambda rng: [rng.randint(0, 9), None]),
    "struct": (
        pa.struct([("a", pa.int64()), ("b", pa.string()), ("A b", pa.float64())]),
        lambda rng: {"a": rng.choice([2**53 + 1, None]), "b": text(rng), "A b": rng.choice([1.5, -0.0, None])},
    ),
    "struct of struct": (
        pa.struct([("s", pa.struct([("d", pa.decimal128(20, 2))])), ("l", pa.list_(pa.uint64()))]),
        lambda rng: {"s": {"d": decimals(20, 2)(rng)}, "l": [2**64 - 1]},
    ),
    "map<string,int64>": (
        pa.map_(pa.string(), pa.int64()),
        lambda rng: [(f"k{i}" if i else "__proto__", whole(64, True)(rng)) for i in range(rng.randint(0, 3))],
    ),
    "map<int64,string>": (
        pa.map_(pa.int64(), pa.string()),
        lambda rng: [(2**53 + i, text(rng)) for i in range(rng.randint(0, 3))],
    ),
}
for _bits in (8, 16, 32, 64):
    TYPES[f"int{_bits}"] = (getattr(pa, f"int{_bits}")(), whole(_bits, True))
    TYPES[f"uint{_bits}"] = (getattr(pa, f"uint{_bits}")(), whole(_bits, False))


def half(rng):
    import numpy

    # DuckDB reads the half -0 as 0.
    return numpy.float16(small_floats(rng) + 0.0)


TYPES["half"] = (pa.float16(), half)
