"""The page `docs/azure.md` has a place for each of Azure's names."""

from pathlib import Path

import pytest

from settings.azure_names import AZURE_NAMES, SAME_NAMES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "azure.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", AZURE_NAMES)
def test_each_of_azures_names_stands_on_the_page(name: str) -> None:
    assert name in PAGE


def test_the_names_that_are_the_same_stand_on_the_page() -> None:
    missing = [name for name in SAME_NAMES if name.rpartition(".")[2] not in PAGE]
    assert missing == []
