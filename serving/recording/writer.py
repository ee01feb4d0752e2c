"""The recorder's writer: a thread that turns copied requests into files, off the loop that takes them.

offer ──► queue (bounded) ──► redaction ──► a batch ──► the store
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque

from serving.collection.batch import FILE_BYTES, Batch, hook
from serving.collection.file_format import form
from serving.recording.copied import Copied
from serving.recording.rolling_store import RollingStore
from serving.settings import Collection, Settings

logger = logging.getLogger("azmlinfsrv")

QUEUE_BYTES = 32 << 20
_QUEUE_LENGTH = 10_000
_SOON_BYTES = QUEUE_BYTES // 4
_LOOK_SECONDS = 0.2
_WHY = {
    "dropped_busy": "came too fast",
    "dropped_large": "were too large",
    "dropped_unread": "were no whole request to a model",
    "collection_dropped": "could not be written, or the hook failed",
}
_FILES_IN_ALL = 8  # so that there are older ones to drop when the limit is reached


class Counts:
    """What became of copied requests; only the thread that counts something writes it."""

    def __init__(self) -> None:
        self.by_name: Counter[str] = Counter()

    def add(self, name: str, amount: float) -> None:
        """Add to a count."""
        self.by_name[name] += int(amount)

    def set(self, name: str, value: float) -> None:
        """Set a count."""
        self.by_name[name] = int(value)


class Writer(threading.Thread):
    """Writes the requests that it is offered."""

    def __init__(self, settings: Settings, collection: Collection, max_bytes: int) -> None:
        """Prepare; `start` begins to write.

        Args:
            settings: the settings of the service.
            collection: those of data collection.
            max_bytes: the limit of all files together.

        Raises:
            SettingsError: COLLECT_URL, COLLECT_FORMAT or COLLECT_REDACT cannot be used.
        """
        super().__init__(name="writer", daemon=True)
        self.counts = Counts()
        self._settings = settings
        self._seconds = collection.seconds
        self._file_bytes = min(FILE_BYTES, max_bytes // _FILES_IN_ALL)
        self._batch = Batch(
            RollingStore(collection.url, settings.service_name, max_bytes),
            form(collection.format),
            hook(collection.redact, settings.app_root),
            self.counts,
            settings.service_name,
        )
        self._queue: deque[Copied] = deque()
        self._offered = self._taken = 0  # bytes; a thread writes each
        self._wake = threading.Event()
        self._stopping = False
        self._told = 0

    def offer(self, copied: Copied) -> None:
        """Take a request, or drop it where too many wait. It returns at once."""
        waiting = self._offered - self._taken
        if waiting > QUEUE_BYTES or len(self._queue) >= _QUEUE_LENGTH:
            self.counts.add("dropped_busy", 1)
            return
        self._offered += len(copied.body)
        self._queue.append(copied)
        if waiting > _SOON_BYTES:
            self._wake.set()

    def stop(self, seconds: float) -> None:
        """Write what was offered, and wait so many seconds for that."""
        self._stopping = True
        self._wake.set()
        self.join(seconds)

    def run(self) -> None:
        """Write until the end is told."""
        due = time.monotonic() + self._seconds
        while not self._stopping:
            # To wake for each request would cost more than to write it.
            self._wake.wait(_LOOK_SECONDS)
            self._wake.clear()
            self._take()
            if time.monotonic() >= due:
                self._write()
                due = time.monotonic() + self._seconds
        self._take()
        self._write()

    def _take(self) -> None:
        """Take what waits, and write the files that are full."""
        while self._queue:
            copied = self._queue.popleft()
            self._batch.add(copied.document(self._settings), copied.time, len(copied.body))
            self._taken += len(copied.body)
            if self._batch.bytes >= self._file_bytes:
                self._write()

    def _write(self) -> None:
        self._batch.write()
        dropped = self.dropped
        if dropped > self._told:
            logger.warning("%d requests are not recorded, %s", dropped - self._told, self.reasons)
            self._told = dropped

    @property
    def dropped(self) -> int:
        """How many requests were dropped."""
        return sum(self.counts.by_name[name] for name in _WHY)

    @property
    def reasons(self) -> str:
        """Why requests were dropped since the start, for people."""
        counts = self.counts.by_name
        return "since the start: " + ", ".join(f"{counts[name]} {why}" for name, why in _WHY.items() if counts[name])
