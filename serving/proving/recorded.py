"""The newest recorded requests of a service: what data collection wrote, see `serving.collection.collector`."""

from __future__ import annotations

import base64
import importlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import fsspec
import orjson

from serving.collection.store import shown
from serving.proving.plan import Collected, Request

_OCTETS = "application/octet-stream"
_JSON = "application/json"
_QUERY = "/?:@!$&'()*+,;=%~"  # what stands in a query as it is (RFC 3986)


class RecordsError(Exception):
    """The records cannot be read; the text says why, without a credential."""


def newest(collected: Collected, most: int) -> tuple[list[Request], int]:
    """Read the newest requests that can be sent again: whole ones of clients, which were answered.

    Args:
        collected: Where they are, and whose.
        most: How many are wanted.

    Returns:
        The requests, and how many were left out on the way: cut, or without the body that a redaction took.

    Raises:
        RecordsError: The store does not answer, or a file cannot be read.
    """
    requests: list[Request] = []
    left_out = 0
    try:
        for record in _records(collected.url):
            is_clients = record.get("service") == collected.service and not record.get("check")
            if not is_clients or not 200 <= int(record.get("status", 0)) < 400:
                continue
            request = _request(record)
            if request is None:
                left_out += 1
            else:
                requests.append(request)
            if len(requests) == most:
                break
    except Exception as error:
        reason = shown(f"{error}".replace(collected.url, shown(collected.url)))
        raise RecordsError(f"{shown(collected.url)} cannot be read: {type(error).__name__}: {reason}") from None
    return requests, left_out


def _records(url: str) -> Iterator[dict[str, Any]]:
    """Read records, the newest file's first and of each file the newest first."""
    files, root = fsspec.core.url_to_fs(url)
    try:
        folders = [path for path in files.ls(root, detail=False) if _name(path).startswith("date=")]
    except FileNotFoundError:
        return
    for folder in sorted(folders, key=_name, reverse=True):
        for path in sorted(files.ls(folder, detail=False), key=_written_at, reverse=True):
            if path.endswith((".jsonl", ".parquet")) and not _name(path).startswith("."):
                with files.open(path, "rb") as file:
                    yield from reversed(_read(path, file))


def _read(path: str, file: Any) -> list[dict[str, Any]]:
    if path.endswith(".parquet"):
        table: list[dict[str, Any]] = importlib.import_module("pyarrow.parquet").read_table(file).to_pylist()
        return table
    return [orjson.loads(line) for line in file.read().splitlines()]


def _request(record: dict[str, Any]) -> Request | None:
    content = _content(record, "input")
    if content is None or len(content) != record.get("inputBytes"):
        return None
    is_text = record.get("inputEncoding") == "utf-8"
    method = record.get("method") or "POST"
    query = method in ("GET", "HEAD")
    return Request(
        id=str(record.get("clientRequestId") or record.get("requestId") or "?"),
        to="scorer",
        method=method,
        path=f"/score?{quote(content, safe=_QUERY)}" if query and content else "/score",
        content_type="" if query else record.get("contentType") or (_JSON if is_text else _OCTETS),
        body=b"" if query else content,
        recorded=_content(record, "output") or b"",
    )


def _content(record: dict[str, Any], name: str) -> bytes | None:
    text = record.get(name)
    if not isinstance(text, str):
        return None
    return text.encode() if record.get(f"{name}Encoding") == "utf-8" else base64.b64decode(text)


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _written_at(path: str) -> tuple[str, int]:
    """Give the time and the number in `<service>-<host>-<time>-<number>.<suffix>`."""
    parts = _name(path).rpartition(".")[0].rsplit("-", 2)
    return (parts[1], int(parts[2])) if len(parts) == 3 and parts[2].isdigit() else ("", 0)
