"""The newest recorded requests of a service.

Data collection wrote those to the scorer (`serving.collection.collector`), the recorder those to Triton
(`serving.recording.copied`).
"""

from __future__ import annotations

import base64
import importlib
import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Any, TypeVar
from urllib.parse import quote

import fsspec
import orjson

from serving.collection.file_name import is_day_folder, last, requests_folder, written_at
from serving.collection.store import shown
from serving.proving import grpc_request
from serving.proving.plan import Collected, Request, Server
from serving.recording.copied import GRPC_PATH, HTTP_PATH

_T = TypeVar("_T")

_NAMES: dict[type, str] = {str: "text", int: "whole number"}
_OCTETS = "application/octet-stream"
_JSON = "application/json"
_PATH = string.punctuation.replace("?", "")  # what stands in a path as its client wrote it: Triton decodes none
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
        broken_calls: How many calls of gRPC are no request with tensors.
        has_unread_parquet: Whether there are Parquet files, and no `pyarrow` to read them.
    """

    requests: list[Request] = field(default_factory=list)
    incomplete: int = 0
    changed: int = 0
    example: str = ""
    broken_calls: int = 0
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
        if self.broken_calls:
            yield f"{self.broken_calls} calls of gRPC are left out: they are no request with tensors"
        if self.has_unread_parquet:
            yield (
                "the recorded requests are in Parquet files, and this environment cannot read them: add pyarrow<20 "
                "to environment.pipPackages"
            )


def newest(collected: Collected, most: int) -> Records:
    """Read the newest requests that can be sent again: whole ones of clients, which the scorer answered.

    Those to the scorer and those to Triton take turns.

    Args:
        collected: Where they are, and whose.
        most: How many are wanted.

    Raises:
        RecordsError: The store does not answer, or a file cannot be read.
    """
    found = Records()
    try:
        of_each = [_requests(collected, server, most, found) for server in collected.servers]
        in_turns = chain.from_iterable(zip_longest(*of_each))
        found.requests = [request for request in in_turns if request is not None][:most]
    except Exception as error:
        reason = shown(f"{error}".replace(collected.url, shown(collected.url)))
        raise RecordsError(f"{shown(collected.url)} cannot be read: {type(error).__name__}: {reason}") from None
    return found


def _requests(collected: Collected, server: Server, most: int, found: Records) -> list[Request]:
    """Read the newest requests to one server."""
    requests: list[Request] = []
    below = requests_folder(collected.service) if server == "triton" else ""
    read = _to_triton if server == "triton" else _to_scorer
    for record in _records(collected.url, below, found):
        if len(requests) == most:
            break
        try:
            if not _is_of_client(record, collected.service):
                continue
            if server == "scorer" and not 200 <= _given(record, "status", int) < 400:
                continue
            request = read(record)
        except _Changed as error:
            found.changed += 1
            found.example = found.example or str(error)
            continue
        except grpc_request.MessageError:  # a client sent it so: nobody reads a message before Triton does
            found.broken_calls += 1
            continue
        if request is None:
            found.incomplete += 1
        else:
            requests.append(request)
    return requests


class _Changed(Exception):
    """A record has another form than the collection writes; the text names what is wrong, and shows no value."""


def _records(url: str, below: str, found: Records) -> Iterator[Any]:
    """Read records, the newest file's first and of each file the newest first."""
    files, root = fsspec.core.url_to_fs(url)
    folder = f"{root.rstrip('/')}/{below}" if below else root
    try:
        folders = [path for path in files.ls(folder, detail=False) if is_day_folder(path)]
    except FileNotFoundError:
        return
    for day in sorted(folders, key=last, reverse=True):
        for path in sorted(files.ls(day, detail=False), key=written_at, reverse=True):
            if last(path).startswith("."):
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


def _is_of_client(record: Any, service: str) -> bool:
    """Tell whether a record is one of the service's clients."""
    if not isinstance(record, dict):
        raise _Changed("one that is no object")
    return _given(record, "service", str) == service and not record.get("check")


def _to_triton(record: dict[str, Any]) -> Request | None:
    content = _whole(record)
    if content is None:
        return None
    path, head, name = _given(record, "path", str), record.get("headBytes"), _id(record)
    if path == GRPC_PATH:
        return grpc_request.request(content, name)
    if not HTTP_PATH.fullmatch(path):
        raise _Changed("one whose path is none of a model")
    if head is not None and not 0 <= _given(record, "headBytes", int) <= len(content):
        raise _Changed("one whose headBytes is no part of the input")
    return Request(
        id=name,
        to="triton",
        path=quote(path, safe=_PATH, encoding="latin-1", errors="replace"),
        body=content,
        content_type=_JSON if head is None else _OCTETS,
        head_bytes=head,
        recorded=b"",
    )


def _to_scorer(record: dict[str, Any]) -> Request | None:
    content = _whole(record)
    if content is None:
        return None
    is_text = record["inputEncoding"] == "utf-8"
    method = record.get("method") or "POST"
    query = method in ("GET", "HEAD")
    content_type = record.get("contentType") or (_JSON if is_text else _OCTETS)
    for name, text in (("method", method), ("contentType", content_type)):
        if not (isinstance(text, str) and text.isascii() and text.isprintable()):
            raise _Changed(f"one whose {name} is no text of a header")
    return Request(
        id=_id(record),
        to="scorer",
        method=method,
        path=f"/score?{quote(content, safe=_QUERY)}" if query and content else "/score",
        content_type="" if query else content_type,
        body=b"" if query else content,
        recorded=_output(record),
    )


def _whole(record: dict[str, Any]) -> bytes | None:
    """Read the body of a request; None where it was cut or redacted."""
    content = _content(record, "input")
    return content if content is not None and len(content) == _given(record, "inputBytes", int) else None


def _id(record: dict[str, Any]) -> str:
    return str(record.get("clientRequestId") or record.get("requestId") or "?")


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
