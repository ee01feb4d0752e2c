"""Write what people and programs read about the access log's lines, from the type `AccessLine`.

    python -m gateway.access_log_page

writes a JSON Schema, and the table between two marks of the page; the tests fail while one is stale.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.access_log import AccessLine

PROJECT = Path(__file__).resolve().parents[1]
SCHEMA = PROJECT / "docs" / "logs.schema.json"
PAGE = PROJECT / "docs" / "logs.md"
_MARKS = ("<!-- fields -->\n", "<!-- end of fields -->\n")
_TYPES = {"string": "text", "integer": "whole number"}


def json_schema() -> str:
    """Give the JSON Schema of a line. Every field is always there."""
    schema = AccessLine.model_json_schema(mode="validation")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A line of the access log"}
    return json.dumps({**head, **{key: value for key, value in schema.items() if key != "title"}}, indent=2) + "\n"


def page(text: str) -> str:
    """Put the table of the fields between the marks of the page."""
    before, rest = text.split(_MARKS[0])
    _, after = rest.split(_MARKS[1])
    return "".join((before, _MARKS[0], *table(), _MARKS[1], after))


def table() -> Iterator[str]:
    """Give the lines of the table of the fields."""
    schema = AccessLine.model_json_schema()
    yield "\n| field | type | meaning |\n|---|---|---|\n"
    yield from _rows(schema, schema["$defs"], "")
    yield "\n"


def _rows(schema: dict[str, Any], definitions: dict[str, Any], prefix: str) -> Iterator[str]:
    for name, field in schema["properties"].items():
        reference = field.get("$ref", "").rpartition("/")[2]
        yield f"| `{prefix}{name}` | {'object' if reference else _type(field)} | {field['description']} |\n"
        if reference:
            yield from _rows(definitions[reference], definitions, f"{prefix}{name}.")


def _type(field: dict[str, Any]) -> str:
    kinds = [kind["type"] for kind in field.get("anyOf", [field])]
    return " or ".join("time" if field.get("format") == "date-time" else _TYPES.get(kind, kind) for kind in kinds)


def files() -> dict[Path, str]:
    """Give the texts of both files."""
    return {SCHEMA: json_schema(), PAGE: page(PAGE.read_text())}


def main() -> int:
    """Write both files."""
    for path, text in files().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
