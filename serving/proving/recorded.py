"""The newest recorded requests of a service: what data collection wrote, see `serving.collection.collector`."""

from __future__ import annotations

import base64
import importlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

import fsspec
import orjson

from serving.collection.store import shown
from serving.proving.plan import Collected, Request

_T = TypeVar("_T")

_NAMES: dict[type, str] = {str: "text", int: "whole number"}
_OCTETS = "application/octet-stream"
_JSON = "application/json"
_QUERY = "/?:@!$&'()*+,;=%~"  # what stands in a query as it is (RFC 3986)


class RecordsError(Exception):
    """The records cannot be read; the text says why, without a credential."""


@dataclass
class Records:
    """What was found: the requests that can be sent again, and what was left out on the way.

    Attributes:
        requests: The newest first.
        incomplete: How many records were cut, or lack the body that a redaction took.
        changed: How many have another form than the collection writes.
        example: What is wrong with one of these.
        has_unread_parquet: Whether there are Parquet files, and no `pyarrow` to read them.
    """

    requests: list[Request] = field(default_factory=list)
    incomplete: int = 0
    changed: int = 0
    example: str = ""
    has_unread_parquet: bool = False

    def notes(self) -> Iterator[str]:
        """Say what was left out."""
        if self.incomplete:
            yield f"{self.incomplete} recorded requests are left out: they were cut, or redacted"
        if self.changed:
            yield (
                f"{self.changed} records are left out: COLLECT_REDACT, or somebody else, changed their form, as "
                f"{self.example}"
            )
        if self.has_unread_parquet:
            yield (
                "the recorded requests are in Parquet files, and this environment cannot read them: add pyarrow<20 "
                "to environment.pipPackages"
            )


def newest(collected: Collected, most: int) -> Records:
    """Read the newest requests that can be sent again: whole ones of clients, which were answered.

    Args:
        collected: Where they are, and whose.
        most: How many are wanted.

    Raises:
        RecordsError: The store does not answer, or a file cannot be read.
    """
    found = Records()
    try:
        for record in _records(collected.url, found):
            try:
                if not _is_wanted(record, collected.service):
                    continue
                request = _request(record)
            except _Changed as error:
                found.changed += 1
                found.example = found.example or str(error)
                continue
            if request is None:
                found.incomplete += 1
            else:
                found.requests.append(request)
            if len(found.requests) == most:
                break
    except Exception as error:
        reason = shown(f"{error}".replace(collected.url, shown(collected.url)))
        raise RecordsError(f"{shown(collected.url)} cannot be read: {type(error).__name__}: {reason}") from None
    return found


class _Changed(Exception):
    """A record has another form than the collection writes; the text names what is wrong, and shows no value."""


def _records(url: str, found: Records) -> Iterator[Any]:
    """Read records, the newest file's first and of each file the newest first."""
    files, root = fsspec.core.url_to_fs(url)
    try:
        folders = [path for path in files.ls(root, detail=False) if _name(path).startswith("date=")]
    except FileNotFoundError:
        return
    for folder in sorted(folders, key=_name, reverse=True):
        for path in sorted(files.ls(folder, detail=False), key=_written_at, reverse=True):
            if _name(path).startswith("."):
                continue
            if path.endswith(".jsonl"):
                with files.open(path, "rb") as file:
                    yield from reversed([_line(line) for line in file.read().splitlines()])
            elif path.endswith(".parquet"):
                try:
                    parquet = importlib.import_module("pyarrow.parquet")
                except ImportError:
                    found.has_unread_parquet = True
                    continue
                with files.open(path, "rb") as file:
                    yield from reversed(parquet.read_table(file).to_pylist())


def _line(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except ValueError:
        return None


def _is_wanted(record: Any, service: str) -> bool:
    """Tell whether a record is one of the service's clients, who got an answer."""
    if not isinstance(record, dict):
        raise _Changed("one that is no object")
    if _given(record, "service", str) != service or record.get("check"):
        return False
    return 200 <= _given(record, "status", int) < 400


def _request(record: dict[str, Any]) -> Request | None:
    content = _content(record, "input")
    if content is None or len(content) != _given(record, "inputBytes", int):
        return None
    is_text = record["inputEncoding"] == "utf-8"
    method = record.get("method") or "POST"
    query = method in ("GET", "HEAD")
    content_type = record.get("contentType") or (_JSON if is_text else _OCTETS)
    for name, text in (("method", method), ("contentType", content_type)):
        if not (isinstance(text, str) and text.isascii() and text.isprintable()):
            raise _Changed(f"one whose {name} is no text of a header")
    return Request(
        id=str(record.get("clientRequestId") or record.get("requestId") or "?"),
        to="scorer",
        method=method,
        path=f"/score?{quote(content, safe=_QUERY)}" if query and content else "/score",
        content_type="" if query else content_type,
        body=b"" if query else content,
        recorded=_output(record),
    )


def _output(record: dict[str, Any]) -> bytes:
    """Read a recorded answer, of which only values are shown that the record has."""
    try:
        return _content(record, "output") or b""
    except _Changed:
        return b""


def _content(record: dict[str, Any], name: str) -> bytes | None:
    text = record.get(name)
    if not isinstance(text, str):
        return None
    encoding = _given(record, f"{name}Encoding", str)
    if encoding == "utf-8":
        return text.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise _Changed(f"one whose {name} is neither utf-8 nor Base64") from None


def _given(record: dict[str, Any], name: str, kind: type[_T]) -> _T:
    value = record.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _Changed(f"one whose {name} is {'missing' if value is None else f'no {_NAMES[kind]}'}")
    return value


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _written_at(path: str) -> tuple[str, int]:
    """Give the time and the number in `<service>-<host>-<time>-<number>.<suffix>`."""
    parts = _name(path).rpartition(".")[0].rsplit("-", 2)
    return (parts[1], int(parts[2])) if len(parts) == 3 and parts[2].isdigit() else ("", 0)
