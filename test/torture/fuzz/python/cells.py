"""Cells of a source, as an independent reader sees them, and when a cell at a destination is equal to one.

The notion of equality is narrow. Numbers are equal as decimals of any length, timestamps as instants, JSON as values;
text is equal to the character. A text counts as a number only in the form that JSON gives numbers, so `007`, `+1` and
` 1` equal no number.
"""
import base64
import json
import re
import struct
from decimal import Decimal, InvalidOperation

NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?\Z", re.ASCII)
SPECIAL = {"NaN", "Infinity", "-Infinity"}
DATE = re.compile(r"(\d{4,7})-(\d\d)-(\d\d)( BC)?\Z", re.ASCII)
TIME = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?\Z", re.ASCII)
STAMP = re.compile(
    r"(\d{4,7})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d(?::?\d\d)?)?( BC)?\Z", re.ASCII
)


class Num:
    """A number by its own digits."""

    def __init__(self, text):
        self.text = text


class Obj:
    """A JSON object with all its members in order, those of one name too."""

    def __init__(self, pairs):
        self.pairs = pairs


class Float:
    def __init__(self, value, bits):
        self.value, self.bits = value, bits


class Stamp:
    """Nanoseconds since 1970, of an instant (zone) or of a wall clock."""

    def __init__(self, nanos, zone):
        self.nanos, self.zone = nanos, zone


class Clock:
    def __init__(self, nanos):
        self.nanos = nanos


class Day:
    def __init__(self, days):
        self.days = days


class Raw:
    def __init__(self, data):
        self.data = data


def refuse_constant(text):
    raise ValueError(f"{text} is no JSON")


def parse_json(text, constant=refuse_constant):
    return json.loads(text, parse_int=Num, parse_float=Num, parse_constant=constant, object_pairs_hook=Obj)


def same_number(a, b):
    """Whether two texts are one number."""
    if a in SPECIAL or b in SPECIAL:
        return a == b
    if not NUMBER.match(a) or not NUMBER.match(b):
        return False
    try:
        return Decimal(a) == Decimal(b)
    except InvalidOperation:
        return a == b


def days_from_civil(year, month, day):
    y = year - 1 if month <= 2 else year
    era = y // 400
    of_era = y - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


def nanos_of(hour, minute, second, fraction):
    return (int(hour) * 3600 + int(minute) * 60 + int(second)) * 10**9 + int((fraction or "").ljust(9, "0"))


def parse_day(text):
    m = DATE.match(text)
    if not m:
        return None
    return days_from_civil(1 - int(m[1]) if m[4] else int(m[1]), int(m[2]), int(m[3]))


def parse_clock(text):
    m = TIME.match(text)
    return nanos_of(m[1], m[2], m[3], m[4]) if m else None


def parse_stamp(text):
    """(nanoseconds, has a zone) of an ISO timestamp; the zone is applied."""
    m = STAMP.match(text)
    if not m:
        return None
    days = days_from_civil(1 - int(m[1]) if m[9] else int(m[1]), int(m[2]), int(m[3]))
    nanos = days * 86400 * 10**9 + nanos_of(m[4], m[5], m[6], m[7])
    zone = m[8]
    if zone and zone != "Z":
        digits = zone[1:].replace(":", "").ljust(4, "0")
        offset = (int(digits[:2]) * 3600 + int(digits[2:]) * 60) * 10**9
        nanos += offset if zone[0] == "-" else -offset
    return nanos, zone is not None


def same_stamp(a, b):
    x, y = parse_stamp(a), parse_stamp(b)
    return x is not None and x == y


def same_day_or_stamp(a, b):
    return a == b or same_stamp(a, b)


def same_float(value, bits, text):
    if value != value:
        return text.lower() == "nan"
    try:
        found = float(text)
    except ValueError:
        return False
    if bits == 32:
        try:
            found = struct.unpack("f", struct.pack("f", found))[0]
        except OverflowError:
            return False
    return struct.pack("d", found) == struct.pack("d", value)


def same_in(kind, a, b):
    """Whether a number arrived in a column of this kind. A floating-point column can hold the sign of a zero."""
    if kind == "float" and NUMBER.match(a) and a.startswith("-") != b.startswith("-"):
        return False
    return same_number(a, b)


NUMERIC = {"int", "float", "decimal"}
PLAIN = {"text", "untyped"}


def same(expected, kind, found):
    """Whether `found`, held at the destination under a type of this kind, equals the cell of the source.

    kind: int float decimal bool date time timestamp timestamptz uuid binary json text untyped; `value` for a JSON value.
    """
    if expected is None or found is None:
        return expected is None and found is None or (expected is None and kind == "json" and found == "null")
    if kind == "json":
        try:
            # DuckDB writes `Infinity` where it makes JSON of its lists.
            return same_value(expected, parse_json(found, Num))
        except (ValueError, RecursionError):
            return False
    if kind == "value":
        return same_value(expected, found)
    if isinstance(expected, str):
        return same_text(expected, kind, found)
    if isinstance(expected, bool):
        return (kind == "bool" or kind in PLAIN) and found == ("true" if expected else "false")
    if isinstance(expected, Num):
        return (kind in NUMERIC or kind in PLAIN) and same_in(kind, expected.text, found)
    if isinstance(expected, Float):
        return (kind in NUMERIC or kind in PLAIN) and same_float(expected.value, expected.bits, found)
    if isinstance(expected, Day):
        return parse_day(found) == expected.days
    if isinstance(expected, Clock):
        return parse_clock(found) == expected.nanos
    if isinstance(expected, Stamp):
        return parse_stamp(found) == (expected.nanos, expected.zone)
    if isinstance(expected, Raw):
        return found.lower().removeprefix("\\x") == expected.data.hex()
    try:
        return same_value(expected, parse_json(found))
    except (ValueError, RecursionError):
        return False


def same_text(expected, kind, found):
    """A text of a CSV field or a JSON string."""
    if kind in NUMERIC:
        return same_in(kind, expected, found)
    if kind == "bool":
        return expected in ("true", "false") and expected == found
    if kind in ("timestamp", "timestamptz", "date", "time"):
        return same_day_or_stamp(expected, found)
    if kind == "untyped":
        # A JSON string is its text, or the JSON of it where the column holds any JSON value.
        return expected == found or same_number(expected, found) or same_stamp(expected, found) or is_json_of(expected, found)
    return expected == found


def is_json_of(expected, found):
    try:
        return found.startswith('"') and json.loads(found) == expected
    except ValueError:
        return False


def same_value(expected, found):
    """Whether a JSON value at the destination equals the cell."""
    if isinstance(found, Num):
        return same(expected, "decimal", found.text)
    if found is None or expected is None:
        return found is None and expected is None
    if isinstance(found, bool):
        return expected is found or expected == ("true" if found else "false")
    if isinstance(expected, list):
        if isinstance(found, Obj):
            return False
        return isinstance(found, list) and len(expected) == len(found) and all(map(same_value, expected, found))
    if isinstance(expected, Obj):
        if isinstance(found, list):
            # A map as a list of pairs, or of objects with key and value.
            found = Obj([(pair_of(p)) for p in found])
        if not isinstance(found, Obj) or len(found.pairs) != len(expected.pairs):
            return False
        return all(
            str(a) == str(b) and same_value(v, w)
            for (a, v), (b, w) in zip(sorted(expected.pairs, key=first), sorted(found.pairs, key=first))
        )
    if not isinstance(found, str):
        return False
    if isinstance(expected, str):
        return same_day_or_stamp(expected, found)
    if isinstance(expected, Num):
        return False
    if isinstance(expected, Raw) and found in (base64.b64encode(expected.data).decode(), as_duckdb_writes(expected.data)):
        return True
    return same(expected, "untyped", found)


def as_duckdb_writes(data):
    """Bytes as DuckDB makes a text of them: the printable ones of ASCII as they are."""
    return "".join(chr(b) if 32 <= b < 127 and b not in b"\"\\'" else f"\\x{b:02X}" for b in data)


def pair_of(entry):
    """A map's entry in the form {"key": k, "value": v}."""
    if isinstance(entry, list) and len(entry) == 2:
        return (entry[0].text if isinstance(entry[0], Num) else entry[0], entry[1])
    named = dict(entry.pairs) if isinstance(entry, Obj) else {}
    key = named.get("key")
    return (key.text if isinstance(key, Num) else key, named.get("value"))


def first(pair):
    return str(pair[0])


def show(cell):
    """A cell in a message."""
    if isinstance(cell, Num):
        return cell.text
    if isinstance(cell, Obj):
        return "{" + ",".join(f"{k!r}:{show(v)}" for k, v in cell.pairs) + "}"
    if isinstance(cell, list):
        return "[" + ",".join(map(show, cell)) + "]"
    if hasattr(cell, "__dict__"):
        return f"{type(cell).__name__}{tuple(vars(cell).values())}"
    return ascii(cell)
