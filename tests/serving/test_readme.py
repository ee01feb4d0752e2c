"""serving/README.md names every variable that the server reads, with its default."""

import re
from pathlib import Path

import pytest

from serving.settings import VARIABLES

README = Path(__file__).resolve().parents[2] / "serving" / "README.md"
_ROW = re.compile(r"^\| `(?P<name>[A-Z][A-Z_]+)` \|(?P<default>[^|]*)\|[^|]*\|$", re.MULTILINE)
_VALUE = re.compile(r"`(?P<value>[^`]+)`")
# Read before the others, and not from the file that it names.
READ_FIRST = {"AZUREML_CONFIG_FILE"}


def documented() -> dict[str, str]:
    """The default's cell of each variable in the tables."""
    return {row["name"]: row["default"].strip() for row in _ROW.finditer(README.read_text(encoding="utf-8"))}


def test_every_variable_stands_in_one_row_of_the_tables() -> None:
    names = [row["name"] for row in _ROW.finditer(README.read_text(encoding="utf-8"))]
    assert len(names) == len(set(names))
    assert set(names) == set(VARIABLES) | READ_FIRST


@pytest.mark.parametrize("name", VARIABLES)
def test_the_default_of_a_variable_is_the_one_that_the_server_reads(name: str) -> None:
    # Where there is none, the cell is empty, or says in words what the server does.
    value = _VALUE.fullmatch(documented()[name])
    assert (value["value"] if value else "") == (VARIABLES[name].default or "")
