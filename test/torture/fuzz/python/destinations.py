"""What arrived: rows that the caller has read from a database, or a file that Ferry has written."""
import csv
import io

from cells import Clock, Day, Float, Num, Raw, Stamp, parse_json
from sources import Table, read_parquet


def read(destination):
    """(table, the kind of each column)."""
    form = destination["form"]
    if form == "rows":
        return Table(destination["names"], destination["rows"]), destination["kinds"]
    path = destination["path"]
    if form == "parquet":
        return parquet(path)
    text = open(path, "rb").read().decode("utf-8")
    if form == "csv":
        return written_csv(text)
    objects = [parse_json(line) for line in text.split("\n") if line != ""]
    names = list(dict.fromkeys(k for o in objects for k, _ in o.pairs))
    return Table(names, [[dict(o.pairs).get(n) for n in names] for o in objects]), ["value"] * len(names)


def written_csv(text):
    records = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    if not records:
        return Table([], []), []
    names = records[0]
    if len(names) == 1:
        records = [r or [""] for r in records]
    for r in records:
        if len(r) != len(names):
            raise ValueError(f"a written record has {len(r)} fields, the header {len(names)}")
    return Table(names, [[c if c != "" else None for c in r] for r in records[1:]]), ["untyped"] * len(names)


def parquet(path):
    table = read_parquet(path, {})
    kinds, columns = [], []
    for i in range(len(table.names)):
        kind, cells = told([r[i] for r in table.rows])
        kinds.append("json" if table.json[i] else kind)
        columns.append(cells)
    return Table(table.names, [list(r) for r in zip(*columns)] if columns else []), kinds


def told(cells):
    """A column of cells as texts and their kind, so that they compare as those of a database."""
    one = next((c for c in cells if c is not None), None)
    if isinstance(one, bool):
        return "bool", [c if c is None else "true" if c else "false" for c in cells]
    if isinstance(one, Num):
        return "decimal", [c and c.text for c in cells]
    if isinstance(one, Float):
        return "float", [None if c is None else repr_float(c) for c in cells]
    if isinstance(one, (Stamp, Clock, Day)):
        kind = {Day: "date", Clock: "time"}.get(type(one), "timestamp")
        return kind, [c and iso(c) for c in cells]
    if isinstance(one, Raw):
        return "binary", [None if c is None else c.data.hex() for c in cells]
    if one is None or isinstance(one, str):
        return "text", cells
    return "value", [plain(c) for c in cells]


def repr_float(c):
    if c.value != c.value:
        return "NaN"
    if c.value in (float("inf"), float("-inf")):
        return "Infinity" if c.value > 0 else "-Infinity"
    if c.bits == 64:
        return repr(c.value)
    return repr(c.value)


def plain(c):
    """A nested cell as JSON values."""
    if isinstance(c, list):
        return [plain(x) for x in c]
    if hasattr(c, "pairs"):
        return type(c)([(k, plain(v)) for k, v in c.pairs])
    if c is None or isinstance(c, (str, bool, Num)):
        return c
    return told([c])[1][0] if not isinstance(c, Float) else Num(repr_float(c))


def civil(days):
    z = days + 719468
    era = z // 146097
    of_era = z - era * 146097
    year_of_era = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    mp = (5 * of_year + 2) // 153
    month = mp + 3 if mp < 10 else mp - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    text = f"{year if year > 0 else 1 - year:04d}-{month:02d}-{of_year - (153 * mp + 2) // 5 + 1:02d}"
    return text, year <= 0


def clock(nanos):
    seconds, rest = divmod(nanos, 10**9)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return text + (f".{rest:09d}" if rest else "")


def iso(c):
    if isinstance(c, Clock):
        return clock(c.nanos)
    days, nanos = (c.days, 0) if isinstance(c, Day) else divmod(c.nanos, 86400 * 10**9)
    text, bc = civil(days)
    if isinstance(c, Stamp):
        text += f" {clock(nanos)}{'+00' if c.zone else ''}"
    return text + (" BC" if bc else "")
