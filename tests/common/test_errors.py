"""Every error that is meant for people stands in the tree that `UserError` draws."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

from common.errors import UserError

PROJECT = Path(__file__).resolve().parents[2]
FOLDERS = ("bundle", "components", "environment", "gateway", "operate", "policies", "settings", "targets")


def drawn() -> Iterator[tuple[int, str]]:
    for line in (UserError.__doc__ or "").splitlines():
        if found := re.match(r" {8}(?P<lead>[ │├└─]*)(?P<name>\w+Error)\b", line):
            yield len(found["lead"]) // 4, found["name"]


def defined(kind: type[UserError] = UserError, depth: int = 0) -> Iterator[tuple[int, str]]:
    yield depth, kind.__name__
    for child in kind.__subclasses__():
        yield from defined(child, depth + 1)


def test_the_tree_of_errors_is_drawn_as_it_is_defined() -> None:
    for folder in FOLDERS:
        for file in sorted((PROJECT / folder).rglob("*.py")):
            if "Error)" in file.read_text(encoding="utf-8") and "backends" not in file.parts:
                importlib.import_module(".".join(file.relative_to(PROJECT).with_suffix("").parts))
    assert sorted(drawn()) == sorted(defined())
