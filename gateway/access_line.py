"""Show a line of the access log to people: one short line a request, what went wrong at its end."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from gateway.access_log import AccessLine
from gateway.front_door_options import candidate_cluster

_START = '{"'
_MARK = '"requestId":'


def is_access_line(line: str) -> bool:
    """Tell whether a line of a log is one of the access log, whatever `kubectl` puts before it."""
    return _read(line) is not None


def readable(line: str) -> str:
    """Write a line of the access log for people; give every other line as it is.

    Example:
        2026-11-29 02:09:20.960 200 POST /v2/models/wine/infer 11.8 ms (door 1.7, upstream 9.9, answer 0.2) in=2 out=120
        client=default generation=3 id=c99c20db-dbc9-4401-8ac4-fc6252d641c2
    """
    found = _read(line)
    if found is None:
        return line
    before, entry = found
    words = [
        entry.time.strftime("%Y-%m-%d %H:%M:%S.") + f"{entry.time.microsecond // 1000:03}",
        str(entry.status),
        entry.method or "-",
        entry.path or "-",
        *_durations(entry),
        f"in={entry.bytes_in}",
        f"out={entry.bytes_out}",
    ]
    named = {
        "grpc": entry.grpc_status,
        "client": entry.client or None,
        "generation": entry.generation,
        "candidate": "yes" if (entry.cluster or "").endswith(candidate_cluster("")) else None,
        "id": entry.request_id,
        "trace": entry.trace_id,
    }
    words += [f"{name}={value}" for name, value in named.items() if value is not None]
    if _failed(entry):
        words += [f"flags={entry.flags}"] if entry.flags != "-" else []
        words += [f"why={entry.reason or '-'}"]
    return before + _printable(" ".join(words))


def _read(line: str) -> tuple[str, AccessLine] | None:
    """Split off what stands before the JSON; none where there is no line of the access log."""
    start = line.find(_START)
    if start < 0 or _MARK not in line:
        return None
    try:
        return line[:start], AccessLine.model_validate_json(line[start:])
    except ValidationError:
        return None


def _durations(entry: AccessLine) -> Iterator[str]:
    took = entry.duration_us
    yield f"{entry.duration_ms} ms" if took.total is None else f"{took.total / 1000:.1f} ms"
    stages = {"door": took.door, "upstream": took.upstream, "answer": took.answer}
    known = [f"{name} {value / 1000:.1f}" for name, value in stages.items() if value is not None]
    if known:
        yield f"({', '.join(known)})"


def _failed(entry: AccessLine) -> bool:
    return not 100 <= entry.status < 400 or entry.flags != "-" or entry.grpc_status not in (None, "OK")


def _printable(text: str) -> str:
    """Escape what a terminal would obey: clients choose paths and request ids."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
