"""Data collection, the collector process: writes the records that the workers offer, into files that never change.

    <COLLECT_URL>/date=2026-11-21/<service>-<host>-<time>-<number>.jsonl    or .parquet

A file holds the records of COLLECT_SECONDS, or 8 MiB, and appears when it is complete. Each record is

    time                 when the answer was ready, ISO 8601 in UTC
    service, version     SERVICE_NAME and SERVICE_VERSION
    check                whether the deployment sent the request, to prove itself (header `x-service-check`)
    requestId, clientRequestId, status, durationMs
    method, contentType  of the request, "" where it has no content type
    input, output        text; base64 where the content is no UTF-8
    inputEncoding, outputEncoding   "utf-8" or "base64"
    inputBytes, outputBytes         the full length; the text ends after half of COLLECT_MAX_RECORD_BYTES
"""

from __future__ import annotations

import signal
import socket
import time
from datetime import datetime, timezone

from serving.collection.batch import FILE_BYTES, Batch, as_text, hook
from serving.collection.file_format import Document, form
from serving.collection.sampling import Record
from serving.collection.store import Store
from serving.front.scoreboard import Row
from serving.settings import Collection, Settings

_MESSAGE_BYTES = 1 << 20


class Collector:
    """Writes records to a folder or an object store."""

    def __init__(self, settings: Settings, collection: Collection, source: socket.socket, row: Row) -> None:
        """Prepare; `run` opens the store, because clients of object stores survive no fork.

        Args:
            settings: the server's settings.
            collection: its settings of data collection.
            source: the end of the channel from which the records come, see `sampling.channel`.
            row: the collector's row of the scoreboard.

        Raises:
            SettingsError: COLLECT_URL, COLLECT_FORMAT or COLLECT_REDACT cannot be used.
        """
        self._settings = settings
        self._collection = collection
        self._source = source
        self._row = row
        self._batch = Batch(
            Store(collection.url, collection.max_day_bytes),
            form(collection.format),
            hook(collection.redact, settings.app_root),
            row,
            settings.service_name,
        )

    def run(self) -> None:
        """Write until every worker and the master have closed their end of the channel."""
        # The workers end first, and may still send records.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._source.settimeout(1.0)
        # The collector before this one died with these records.
        self._row.add("collection_dropped", self._row.get("collection_held"))
        self._row.set("collection_held", 0)
        written = time.monotonic()
        while True:
            try:
                message = self._source.recv(_MESSAGE_BYTES)
            except TimeoutError:
                message = None
            if message:
                record = Record.unpack(message)
                self._batch.add(_document(record, self._settings), record.time, len(message))
            is_due = time.monotonic() - written >= self._collection.seconds
            if message == b"" or is_due or self._batch.bytes >= FILE_BYTES:
                self._batch.write()
                written = time.monotonic()
            if message == b"":
                return


def _document(record: Record, settings: Settings) -> Document:
    document: Document = {
        "time": datetime.fromtimestamp(record.time, timezone.utc).isoformat(timespec="microseconds"),
        "service": settings.service_name,
        "version": settings.service_version,
        "requestId": record.request_id,
        "clientRequestId": record.client_request_id,
        "check": record.check,
        "status": record.status,
        "durationMs": round(record.seconds * 1000, 3),
        "method": record.method,
        "contentType": record.content_type,
        "inputBytes": record.input_bytes,
        "outputBytes": record.output_bytes,
    }
    document["input"], document["inputEncoding"] = as_text(record.input, record.input_bytes)
    document["output"], document["outputEncoding"] = as_text(record.output, record.output_bytes)
    return document
