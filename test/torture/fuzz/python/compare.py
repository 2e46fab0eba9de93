"""The differences between a source and what arrived."""
from cells import Clock, Day, Float, Num, Obj, Raw, Stamp, parse_clock, parse_day, parse_json, parse_stamp, same, show

MOST = 5


def differences(source, there, kinds, by_name):
    """A list of {kind, detail}; empty where both are equal."""
    found = []
    order = columns_of(source, there, by_name, found)
    rows = [[r[i] if i is not None else None for i in order] for r in there.rows]
    row_kinds = [kinds[i] if i is not None else "text" for i in order]
    expected = source.rows
    if len(rows) != len(expected):
        without = [r for i, r in enumerate(expected) if i not in source.optional]
        if len(rows) == len(without):
            expected = without
        else:
            found.append(("row count", f"{len(expected)} rows in the source, {len(rows)} arrived"))
            return told(found)
    bad = unequal(expected, rows, row_kinds)
    key = lambda row: [rough(c, kind) for c, kind in zip(row, row_kinds)]
    if bad:
        # Rows may arrive in another order: then those of one text are compared with each other.
        if not unequal(sorted(expected, key=key), sorted(rows, key=key), row_kinds):
            bad = []
    for row, column, want, got in bad[:MOST]:
        name = source.names[column] if column < len(source.names) else column
        detail = f"row {row + 1}, column {name!r}: {show(want)} in the source, {show(got)} arrived as {row_kinds[column]}"
        found.append((f"value: {form(want)} to {row_kinds[column]}", detail))
    return told(found)


def told(found):
    return [{"kind": kind, "detail": detail} for kind, detail in found]


def columns_of(source, there, by_name, found):
    """For each source column, where it is at the destination."""
    if by_name:
        at = {n: i for i, n in enumerate(there.names)}
        for i, name in enumerate(source.names):
            if name not in at and any(r[i] is not None for r in source.rows):
                found.append(("lost column", f"column {name!r} did not arrive ({there.names!r} did)"))
        for name in there.names:
            if name not in source.names:
                found.append(("new column", f"column {name!r} is not in the source"))
        return [at.get(n) for n in source.names]
    if len(there.names) != len(source.names) and (source.rows or there.rows or there.names):
        found.append(("column count", f"{source.names!r} in the source, {there.names!r} arrived"))
    else:
        for want, got in zip(source.names, there.names):
            bare = want.strip()
            if bare not in ("", got) and not got.startswith(f"{bare}_"):
                found.append(("column name", f"{want!r} arrived as {got!r}"))
    return [i if i < len(there.names) else None for i in range(len(source.names))]


def unequal(expected, rows, kinds):
    bad = []
    for r, (want, got) in enumerate(zip(expected, rows)):
        for c, kind in enumerate(kinds):
            if not same(want[c], kind, got[c]):
                bad.append((r, c, want[c], got[c]))
                if len(bad) >= MOST:
                    return bad
    return bad


def rough(c, kind):
    """A key under which equal cells of both sides sort alike."""
    if isinstance(c, str) and kind in ("json", "value") and c[:1] in ("{", "[", '"'):
        try:
            c = parse_json(c, Num)
        except (ValueError, RecursionError):
            pass
    if c is None:
        return ""
    if isinstance(c, bool):
        return "true" if c else "false"
    if isinstance(c, list):
        return f"[{','.join(rough(part, kind) for part in c)}]"
    if isinstance(c, Obj):
        return f"{{{','.join(sorted(f'{name}:{rough(part, kind)}' for name, part in c.pairs))}}}"
    if isinstance(c, Raw):
        return c.data.hex()
    if isinstance(c, (Stamp, Clock)):
        return str(c.nanos)
    if isinstance(c, Day):
        return str(c.days)
    if isinstance(c, Num):
        c = c.text
    if isinstance(c, Float):
        c = repr(c.value)
    stamp, clock, day = parse_stamp(c), parse_clock(c), parse_day(c)
    if stamp or clock is not None or day is not None:
        return str(stamp[0] if stamp else clock if clock is not None else day)
    try:
        return "nan" if c.lower() == "nan" else f"{float(c):.6e}"
    except ValueError:
        return c.lower().removeprefix("\\x") if kind == "binary" or c.startswith("\\x") else c


def form(cell):
    if cell is None:
        return "null"
    return {str: "text", bool: "bool", list: "array", Num: "number", Obj: "object"}.get(type(cell), type(cell).__name__)
