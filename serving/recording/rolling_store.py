"""The recorder's files: the oldest ones go where there would be too many."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from serving.collection.file_name import is_day_folder, requests_folder, written_at
from serving.collection.store import Store

_MOST_FILES = 1000  # a folder of very many small files takes long to read


class RollingStore(Store):
    """Writes to a folder that never holds more than its limit, whoever else writes there."""

    def __init__(self, url: str, service: str, max_bytes: int) -> None:
        """Prepare; the first `write` opens the store.

        Args:
            url: COLLECT_URL.
            service: the service's name.
            max_bytes: the limit of the whole folder.

        Raises:
            SettingsError: fsspec does not know the URL, or lacks a package for it.
        """
        super().__init__(url, max_bytes, requests_folder(service))

    def _make_room(self, day: str, folder: str, size: int) -> None:
        """Remove the oldest files until there is room for another one."""
        files = sorted(self._listed())
        total = sum(file_size for *_, file_size in files) + size
        while files and (total > self._max_bytes or len(files) >= _MOST_FILES):
            *_, path, gone = files.pop(0)
            with suppress(FileNotFoundError):  # another recorder of the service was quicker
                self._files.rm_file(path)
            total -= gone

    def _listed(self) -> list[tuple[str, tuple[str, int], str, int]]:
        """List the files by their age: day, time, path and size."""
        self._files.invalidate_cache()
        try:
            found: dict[str, Any] = self._files.find(self._root, detail=True)
        except FileNotFoundError:
            return []
        days = ((path.rpartition("/")[0], path, entry["size"] or 0) for path, entry in found.items())
        return [(day, written_at(path), path, int(size)) for day, path, size in days if is_day_folder(day)]
