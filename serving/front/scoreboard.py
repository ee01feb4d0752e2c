"""The scoreboard: numbers that all processes of a server share, in anonymous shared memory.

Each worker owns one row, and no other process writes to it, so no lock is needed. The front process reads all rows to
choose the least busy worker and to add up the metrics. A row outlives its worker: the next worker in the same row goes
on counting from there, so that counters never fall.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Iterator

# Upper bounds in seconds: Prometheus' own defaults, and smaller ones for tiny models.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
STATUSES = (200, 400, 404, 405, 408, 413, 415, 429, 431, 500, 503)
OTHER_STATUS = len(STATUSES)

# `blocks`: the last calls of run() occupied their worker for a while, or there has been no call yet.
# `collection_held`: records that the collector has and has not written.
GAUGES = ("alive", "ready", "blocks", "in_flight", "connections", "collection_held")
COUNTERS = ("starts", "run_failures", "run_rejections", "run_timeouts", "collected", "collection_dropped")
HISTOGRAMS = ("request", "queue", "run", "triton")

# The cells before the rows: whether the port is open, or cannot be opened; whether the server stops.
_OPENED, _STOPPING, _FIRST_ROW = range(3)
_STATUS_INDEX = {status: index for index, status in enumerate(STATUSES)}
_HISTOGRAM_WIDTH = len(BUCKETS) + 2  # one bucket above the last bound, and the sum
_OFFSETS = {name: index for index, name in enumerate(GAUGES + COUNTERS)}
_STATUS_OFFSET = len(_OFFSETS)
_HISTOGRAM_OFFSETS = {
    name: _STATUS_OFFSET + len(STATUSES) + 1 + index * _HISTOGRAM_WIDTH for index, name in enumerate(HISTOGRAMS)
}
ROW_WIDTH = _STATUS_OFFSET + len(STATUSES) + 1 + len(HISTOGRAMS) * _HISTOGRAM_WIDTH


class Row:
    """One worker's numbers."""

    __slots__ = ("_cells", "_start")

    def __init__(self, cells: memoryview[float], start: int) -> None:
        self._cells = cells
        self._start = start

    def get(self, name: str) -> float:
        """Read a gauge or counter."""
        return float(self._cells[self._start + _OFFSETS[name]])

    def set(self, name: str, value: float) -> None:
        """Set a gauge."""
        self._cells[self._start + _OFFSETS[name]] = value

    def add(self, name: str, amount: float = 1.0) -> None:
        """Move a gauge or counter by `amount`."""
        self._cells[self._start + _OFFSETS[name]] += amount

    def count_status(self, status: int) -> None:
        """Count one answer by its HTTP status."""
        self._cells[self._start + _STATUS_OFFSET + _STATUS_INDEX.get(status, OTHER_STATUS)] += 1

    def observe(self, histogram: str, seconds: float) -> None:
        """Count one duration."""
        base = self._start + _HISTOGRAM_OFFSETS[histogram]
        cells = self._cells
        cells[base + bisect_left(BUCKETS, seconds)] += 1
        cells[base + _HISTOGRAM_WIDTH - 1] += seconds

    def statuses(self) -> list[float]:
        """Read the counts of answers, in the order of `STATUSES`, with all other statuses last."""
        start = self._start + _STATUS_OFFSET
        return list(self._cells[start : start + len(STATUSES) + 1])

    def histogram(self, name: str) -> tuple[list[float], float]:
        """Read the count of each bucket, not cumulative, and the sum of the durations."""
        base = self._start + _HISTOGRAM_OFFSETS[name]
        values = list(self._cells[base : base + _HISTOGRAM_WIDTH])
        return values[:-1], values[-1]

    def reset_gauges(self) -> None:
        """Forget the gauges of a worker that has ended."""
        for name in GAUGES:
            self.set(name, 0.0)


class Scoreboard:
    """The rows of all processes. The master makes it before the first fork."""

    def __init__(self, workers: int) -> None:
        # During a reload, old and new workers run side by side, and an operator may add some. The front process and the
        # collector have a row each.
        self._worker_rows = 4 * workers + 4
        self.row_count = self._worker_rows + 2
        self._memory = mmap.mmap(-1, 8 * (_FIRST_ROW + self.row_count * ROW_WIDTH))
        self._cells = memoryview(self._memory).cast("d")

    @property
    def opened(self) -> bool:
        """Whether the server has opened its port, as it does once all first workers are ready."""
        return self._cells[_OPENED] > 0

    @opened.setter
    def opened(self, value: bool) -> None:
        self._cells[_OPENED] = float(value)

    @property
    def is_refused(self) -> bool:
        """Whether the port could not be opened."""
        return self._cells[_OPENED] < 0

    def refuse(self) -> None:
        """Note that the port could not be opened."""
        self._cells[_OPENED] = -1.0

    @property
    def is_stopping(self) -> bool:
        """Whether the whole server stops, so that no other front process follows."""
        return self._cells[_STOPPING] > 0

    def stop(self) -> None:
        """Note that the whole server stops."""
        self._cells[_STOPPING] = 1.0

    @property
    def front(self) -> Row:
        """The front process's row."""
        return self.row(self._worker_rows)

    @property
    def collector(self) -> Row:
        """The collector process's row."""
        return self.row(self._worker_rows + 1)

    def row(self, index: int) -> Row:
        """Give the row of one worker."""
        return Row(self._cells, _FIRST_ROW + index * ROW_WIDTH)

    def rows(self) -> Iterator[Row]:
        """Give all rows, the workers' first."""
        return (self.row(index) for index in range(self.row_count))

    @property
    def has_room(self) -> bool:
        """Whether there is a free row."""
        return not all(self.row(index).get("alive") for index in range(self._worker_rows))

    def claim(self) -> int:
        """Take a free row for a new worker. Only the arbiter calls this.

        Returns:
            The row's index.

        Raises:
            RuntimeError: no row is free.
        """
        for index in range(self._worker_rows):
            row = self.row(index)
            if not row.get("alive"):
                row.reset_gauges()
                row.set("alive", 1.0)
                row.add("starts")
                return index
        raise RuntimeError(f"The scoreboard has {self._worker_rows} rows for workers, all taken. Restart the server.")

    def release(self, index: int) -> None:
        """Give back the row of a worker that has ended."""
        self.row(index).reset_gauges()

    def in_flight(self) -> float:
        """Count the requests that all workers are answering now."""
        return sum(self._cells[_FIRST_ROW + _OFFSETS["in_flight"] :: ROW_WIDTH])
