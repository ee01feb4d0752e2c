"""Data collection, the form of a file: JSON lines or Parquet. A record without such a form costs no other its place."""

from __future__ import annotations

import importlib
from io import BytesIO
from typing import Any, Protocol

import orjson

from serving.settings import SettingsError

Document = dict[str, Any]


class Form(Protocol):
    """Gathers records, until a file of them is to be written."""

    suffix: str

    def add(self, document: Document) -> None:
        """Gather a record; raises for one that cannot be written."""

    def take(self) -> tuple[bytes, list[Exception]]:
        """The file of what was gathered, and why records are not in it. The next one begins empty."""


class JsonLines:
    """A JSON object a line."""

    suffix = "jsonl"

    def __init__(self) -> None:
        self._lines: list[bytes] = []

    def add(self, document: Document) -> None:
        """Gather a record. Raises TypeError for what JSON cannot hold."""
        self._lines.append(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))

    def take(self) -> tuple[bytes, list[Exception]]:
        """The lines."""
        lines, self._lines = self._lines, []
        return b"".join(lines), []


class Parquet:
    """A table with a column for each key that any record has. Types are those of the first record with a value."""

    suffix = "parquet"

    def __init__(self) -> None:
        """Raises :class:`SettingsError` without the package for it."""
        try:
            self._arrow: Any = importlib.import_module("pyarrow")
            self._parquet: Any = importlib.import_module("pyarrow.parquet")
        except ImportError as error:
            problem = f"COLLECT_FORMAT: parquet needs the package pyarrow in the environment: {error}"
            raise SettingsError([problem]) from None
        self._documents: list[Document] = []

    def add(self, document: Document) -> None:
        """Gather a record; whether it fits to the others, only all of them tell."""
        self._documents.append(dict(document))  # a hook may use its own again

    def take(self) -> tuple[bytes, list[Exception]]:
        """The table."""
        documents, self._documents = self._documents, []
        names = dict.fromkeys(name for document in documents for name in document)
        try:
            rows = [{name: document.get(name) for name in names} for document in documents]
            return self._written(self._arrow.Table.from_pylist(rows)), []
        except Exception:
            table, problems = self._fitting(documents)
            return self._written(table) if len(table) else b"", problems

    def _written(self, table: Any) -> bytes:
        buffer = BytesIO()
        self._parquet.write_table(table, buffer)
        return buffer.getvalue()

    def _fitting(self, documents: list[Document]) -> tuple[Any, list[Exception]]:
        """A table of the records that fit together, the first ones first."""
        schema, kept, problems = self._arrow.schema([]), [], []
        for document in documents:
            try:
                alone = self._arrow.Table.from_pylist([document])
                self._written(alone)
                schema = self._arrow.unify_schemas([schema, alone.schema], promote_options="permissive")
            except Exception as error:
                problems.append(error)
            else:
                kept.append(document)
        return self._arrow.Table.from_pylist(kept, schema=schema), problems


def form(name: str) -> Form:
    """The form of COLLECT_FORMAT."""
    return Parquet() if name == "parquet" else JsonLines()
