"""Data collection, the collector process: writes what the workers offer, as files that never change.

    <COLLECT_URL>/date=2026-11-21/<service>-<host>-<time>-<number>.jsonl    or .parquet

A file holds what came in within COLLECT_SECONDS, or 8 MiB, and appears when it is complete. Each record is

    time                 when the answer was ready, ISO 8601 in UTC
    service, version     SERVICE_NAME and SERVICE_VERSION
    requestId, clientRequestId, status, durationMs
    input, output        text; base64 where the content is no UTF-8
    inputEncoding, outputEncoding   "utf-8" or "base64"
    inputBytes, outputBytes         the full length; what is longer than half of COLLECT_MAX_RECORD_BYTES is cut
"""

from __future__ import annotations

import base64
import importlib
import logging
import re
import signal
import socket
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any

import fsspec
import orjson

from serving.collection import Record
from serving.scoreboard import Row
from serving.settings import Collection, Settings, SettingsError

logger = logging.getLogger("azmlinfsrv")

FILE_BYTES = 8 << 20
_MESSAGE_BYTES = 1 << 20

Document = dict[str, Any]
Redact = Callable[[Document], Document | None]


class Collector:
    """Writes records to a folder or an object store."""

    def __init__(self, settings: Settings, collection: Collection, source: socket.socket, row: Row) -> None:
        """Raises :class:`SettingsError`. Nothing is opened before `run`: clients of object stores survive no fork."""
        self._settings = settings
        self._collection = collection
        self._source = source
        self._row = row
        _check_url(collection.url)
        self._files: Any = None
        self._root = ""
        self._encode = _parquet_encoder() if collection.format == "parquet" else _json_lines
        self._redact = _hook(collection.redact, settings)
        self._documents: list[Document] = []
        self._buffered_bytes = 0
        self._day = ""
        self._day_bytes: int | None = None  # not known yet
        self._number = 0

    def run(self) -> None:
        """Write until no worker and no master is left to offer anything."""
        # The workers go first, and may still have something to say.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._source.settimeout(1.0)
        # What the process before this one had not written when it died.
        self._row.add("collection_dropped", self._row.get("collection_held"))
        self._row.set("collection_held", 0)
        written = time.monotonic()
        while True:
            try:
                message = self._source.recv(_MESSAGE_BYTES)
            except TimeoutError:
                message = None
            if message:
                self._add(message)
            is_due = time.monotonic() - written >= self._collection.seconds
            if message == b"" or is_due or self._buffered_bytes >= FILE_BYTES:
                self._write()
                written = time.monotonic()
            if message == b"":
                return

    def _add(self, message: bytes) -> None:
        record = Record.unpack(message)
        day = datetime.fromtimestamp(record.time, timezone.utc).date().isoformat()
        if day != self._day:
            self._write()
            self._day, self._day_bytes = day, None
        try:
            document = self._redact(_document(record, self._settings))
        except Exception as error:
            logger.error("COLLECT_REDACT failed, and its record is dropped: %s: %s", type(error).__name__, error)
            document = None
            self._row.add("collection_dropped")
        if document is not None:
            self._documents.append(document)
            self._row.add("collection_held")
            self._buffered_bytes += len(message)

    def _write(self) -> None:
        documents, self._documents, self._buffered_bytes = self._documents, [], 0
        if not documents:
            return
        try:
            is_written = self._has_written(self._encode(documents))
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".replace(self._collection.url, _shown(self._collection.url))
            logger.error("Data collection cannot write to %s: %s", _shown(self._collection.url), _shown(reason))
            is_written = False
        self._row.add("collected" if is_written else "collection_dropped", len(documents))
        self._row.set("collection_held", 0)

    def _has_written(self, content: bytes) -> bool:
        """Write a file, unless the day is full."""
        if self._files is None:
            self._files, root = fsspec.core.url_to_fs(self._collection.url)
            self._root = root.rstrip("/")
        folder = self._folder(self._day)
        if self._day_bytes is None:
            self._day_bytes = self._written_in(folder)
        if self._day_bytes + len(content) > self._collection.max_day_bytes:
            logger.warning("COLLECT_MAX_DAY_BYTES is reached: records of %s are dropped", self._day)
            return False
        self._files.makedirs(folder, exist_ok=True)
        with self._files.transaction, self._files.open(self._path(), "wb") as file:
            file.write(content)
        self._day_bytes += len(content)
        return True

    def _path(self) -> str:
        self._number += 1
        started = datetime.now(timezone.utc).strftime("%H%M%S%f")
        suffix = "parquet" if self._collection.format == "parquet" else "jsonl"
        service = "".join(letter if letter.isalnum() else "-" for letter in self._settings.service_name)
        name = f"{service}-{socket.gethostname()}-{started}-{self._number}.{suffix}"
        return str(PurePosixPath(self._folder(self._day), name))

    def _folder(self, day: str) -> str:
        return f"{self._root}/date={day}"

    def _written_in(self, folder: str) -> int:
        try:
            return int(self._files.du(folder))
        except FileNotFoundError:
            return 0


def _document(record: Record, settings: Settings) -> Document:
    document: Document = {
        "time": datetime.fromtimestamp(record.time, timezone.utc).isoformat(timespec="microseconds"),
        "service": settings.service_name,
        "version": settings.service_version,
        "requestId": record.request_id,
        "clientRequestId": record.client_request_id,
        "status": record.status,
        "durationMs": round(record.seconds * 1000, 3),
        "inputBytes": record.input_bytes,
        "outputBytes": record.output_bytes,
    }
    document["input"], document["inputEncoding"] = _text(record.input, record.input_bytes)
    document["output"], document["outputEncoding"] = _text(record.output, record.output_bytes)
    return document


def _text(content: bytes, full_bytes: int) -> tuple[str, str]:
    try:
        return content.decode(), "utf-8"
    except UnicodeDecodeError as error:
        if len(content) < full_bytes and error.start >= len(content) - 3:
            return content[: error.start].decode(), "utf-8"  # cut in the middle of a character
        return base64.b64encode(content).decode(), "base64"


def _check_url(url: str) -> None:
    """See that fsspec knows the URL's protocols, and that their packages are there, without opening anything."""
    try:
        for part in url.split("::"):
            protocol, _ = fsspec.core.split_protocol(part)
            fsspec.get_filesystem_class(protocol or "file")
    except Exception as error:
        expected = "expected a folder or a URL that fsspec knows"
        raise SettingsError([f"COLLECT_URL: {expected}, received {_shown(url)!r}: {error}"]) from None


def _shown(text: str) -> str:
    """A text with URLs in it, without what may be a key: user, password, query."""
    return re.sub(r"(://)[^/@\s]*@|\?\S*", r"\1", text)


def _hook(name: str | None, settings: Settings) -> Redact:
    """The function `module:function` of AML_APP_ROOT; without a name, one that changes nothing."""
    if name is None:
        return lambda document: document
    sys.path.append(str(settings.app_root))
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)  # type: ignore[no-any-return]
    except Exception as error:
        raise SettingsError([f"COLLECT_REDACT: cannot import {name!r}: {type(error).__name__}: {error}"]) from error


def _json_lines(documents: list[Document]) -> bytes:
    return b"".join(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE) for document in documents)


def _parquet_encoder() -> Callable[[list[Document]], bytes]:
    try:
        arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise SettingsError(
            [f"COLLECT_FORMAT: parquet needs the package pyarrow in the environment: {error}"]
        ) from None

    def encode(documents: list[Document]) -> bytes:
        buffer = BytesIO()
        parquet.write_table(arrow.Table.from_pylist(documents), buffer)
        return buffer.getvalue()

    return encode
