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
    if bad:
        # Rows may arrive in another order.
        bad = unmatched(expected, rows, row_kinds)
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


def unmatched(expected, rows, kinds):
    """The differences of the rows that are left when each row was matched with one that is equal."""
    equal = lambda want, got: all(same(w, kind, g) for w, g, kind in zip(want, got, kinds))
    left = [(r, want, got) for r, (want, got) in enumerate(zip(expected, rows)) if not equal(want, got)]
    there = [got for _, _, got in left]
    missing = []
    for r, want, _ in left:
        at = next((i for i, got in enumerate(there) if equal(want, got)), None)
        if at is None:
            missing.append((r, want))
        else:
            there.pop(at)
    bad = []
    for (r, want), got in zip(missing, there):
        bad += [(r, c, want[c], got[c]) for c, kind in enumerate(kinds) if not same(want[c], kind, got[c])]
    return bad[:MOST]


def form(cell):
    if cell is None:
        return "null"
    return {str: "text", bool: "bool", list: "array", Num: "number", Obj: "object"}.get(type(cell), type(cell).__name__)
