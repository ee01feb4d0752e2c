"""Plain scalars as the CLI's parser (yaml.v3, in Go) takes them, and numbers as it passes them on."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal

_INTEGER = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[oO](?P<octal>[0-7]+)|0[bB](?P<binary>[01]+)"
    r"|0(?P<old_octal>[0-7]+)|(?P<decimal>0|[1-9][0-9]*))"
)
_BASES = {"hex": 16, "octal": 8, "binary": 2, "old_octal": 8, "decimal": 10}
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_LOOSE = re.compile(r"(?<![0-9])_|_(?![0-9])")
_TIME = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{1,2}-[0-9]{1,2})(?:(?P<separator>[Tt ])(?P<time>[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2})"
    r"(?:[.,](?P<fraction>[0-9]{1,9})[0-9]*)?(?P<zone>Z|(?P<sign>[-+])(?P<hours>[0-9]{2}):(?P<minutes>[0-9]{2}))?)?"
)


def number(text: str) -> int | float | None:
    """Read the number that a scalar is; None where it is none. A whole number is an int, as JSON knows no other."""
    if text.startswith("_") or (text.startswith(".") and _LOOSE.search(text)):
        return None
    plain = text.replace("_", "")
    if match := _INTEGER.fullmatch(plain):
        base = match.lastgroup or ""
        value = int(match["sign"] + match[base], _BASES[base])
        if -(2**63) <= value < 2**64:
            return value
    if not _FLOAT.fullmatch(plain) or (found := float(plain)) in (float("inf"), float("-inf")):
        return None
    return int(Decimal(repr(found))) if found.is_integer() and abs(found) < 1e21 else found


def moment(text: str) -> str | None:
    """Read the date or time that a scalar is, in the words that the CLI has for it; None where it is none."""
    match = _TIME.fullmatch(text)
    if match is None or (match["separator"] in ("T", "t")) != (match["zone"] is not None):
        return None
    try:
        when = datetime.strptime(f"{match['date']} {match['time'] or '0:0:0'}", "%Y-%m-%d %H:%M:%S")
        away = timedelta(hours=int(match["hours"] or 0), minutes=int(match["minutes"] or 0))
        zone = timezone(-away if match["sign"] == "-" else away)
    except ValueError:  # the 30th of February
        return None
    fraction = (match["fraction"] or "").rstrip("0")
    offset = when.replace(tzinfo=zone).strftime("%z")
    name = "UTC" if offset == "+0000" else offset
    return f"{when:%Y-%m-%d %H:%M:%S}{fraction and '.'}{fraction} {offset} {name}"


def decimal(value: float) -> str:
    """Write the number in JSON as Go does."""
    if value == 0:
        return "0"
    if 1e-6 <= abs(value) < 1e21:
        return f"{Decimal(repr(value)):f}".removesuffix(".0")
    return repr(value).replace("e-0", "e-")
