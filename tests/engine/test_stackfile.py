"""A stack's settings file: read as the CLI reads it, and edited without touching the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import EngineError
from engine.stackfile import StackFile

TEXT = """\
# top
config:
  # the port
  p:port: 6789   # here
  p:models:
    # first
    - path: a
      name: b
  p:on: on

# tail
"""


@pytest.fixture
def file(tmp_path: Path) -> StackFile:
    path = tmp_path / "Pulumi.s.yaml"
    path.write_text(TEXT)
    return StackFile(path, "p")


def text(file: StackFile) -> str:
    file.write()
    return file.path.read_text()


def test_values_reach_the_program_as_the_cli_passes_them(file: StackFile) -> None:
    values = file.configuration(str).values
    assert values == {"p:port": "6789", "p:models": '[{"name":"b","path":"a"}]', "p:on": "on"}


def test_a_change_leaves_comments_and_other_entries_alone(file: StackFile) -> None:
    file.set("port", "1")
    assert text(file) == TEXT.replace("6789   # here", "'1'")


def test_a_new_key_and_the_salt_are_added(file: StackFile) -> None:
    file.set("new", {"secure": "v1:x"})
    file.set_salt("v1:s")
    expected = TEXT.replace("  p:on: on\n", "  p:on: on\n  p:new:\n    secure: v1:x\n") + "encryptionsalt: v1:s\n"
    assert text(file) == expected


def test_a_removed_key_takes_nothing_along(file: StackFile) -> None:
    assert file.remove("on")
    assert not file.remove("on")
    assert text(file) == TEXT.replace("  p:on: on\n", "")


def test_a_file_is_made_where_there_is_none(tmp_path: Path) -> None:
    file = StackFile(tmp_path / "stacks/Pulumi.s.yaml", "p")
    file.set("a", "true")
    file.remove("a")
    file.set("b[0].c", 1, path=True)
    assert text(file) == "config:\n  p:b:\n  - c: 1\n"


@pytest.mark.parametrize("content", ["config: [", "config: 3", "- a"])
def test_a_file_that_is_no_settings_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "Pulumi.s.yaml"
    path.write_text(content)
    with pytest.raises(EngineError, match=r"Pulumi\.s\.yaml"):
        StackFile(path, "p")
