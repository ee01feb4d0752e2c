"""Data collection, the format of a file: JSON lines or Parquet. A record that does not fit is left out alone."""

from __future__ import annotations

import importlib
from io import BytesIO
from typing import Any, Protocol

import orjson

from serving.settings import SettingsError

Document = dict[str, Any]


class Form(Protocol):
    """Gathers records, and makes a file of them."""

    suffix: str

    def add(self, document: Document) -> None:
        """Gather a record.

        Raises:
            Exception: the record does not fit into a file of this format.
        """

    def take(self) -> tuple[bytes, list[Exception]]:
        """Make a file of the gathered records, and begin the next one.

        Returns:
            The file's content, and an exception for each record that is not in it.
        """


class JsonLines:
    """Writes a JSON object for each record, on a line of its own."""

    suffix = "jsonl"

    def __init__(self) -> None:
        self._lines: list[bytes] = []

    def add(self, document: Document) -> None:
        """Gather a record.

        Raises:
            TypeError: the record holds a value that JSON cannot.
        """
        self._lines.append(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))

    def take(self) -> tuple[bytes, list[Exception]]:
        """Make a file of the lines; all of them fit."""
        lines, self._lines = self._lines, []
        return b"".join(lines), []


class Parquet:
    """Writes a table with a column for each key of any record; the first record with a value gives its type."""

    suffix = "parquet"

    def __init__(self) -> None:
        """Import the package that writes it.

        Raises:
            SettingsError: the environment does not have the package.
        """
        try:
            self._arrow: Any = importlib.import_module("pyarrow")
            self._parquet: Any = importlib.import_module("pyarrow.parquet")
        except ImportError as error:
            problem = f"COLLECT_FORMAT: parquet needs the package pyarrow in the environment: {error}"
            raise SettingsError([problem]) from None
        self._documents: list[Document] = []

    def add(self, document: Document) -> None:
        """Gather a record; `take` sees whether it fits to the others."""
        self._documents.append(dict(document))  # a hook may use its own again

    def take(self) -> tuple[bytes, list[Exception]]:
        """Make the table; a record whose types differ from those before it is left out."""
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
        """Make a table of the records that fit together; the first records decide."""
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
    """Make the form that COLLECT_FORMAT names."""
    return Parquet() if name == "parquet" else JsonLines()
