"""Types of resources and the provider's server: what their tests share."""

import shutil
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bundle_folder(tmp_path: Path) -> Path:
    """A bundle's folder with the digits model."""
    folder = tmp_path / "models"
    shutil.copytree(PROJECT / "model_repository" / "triton" / "digits", folder / "triton" / "digits")
    return folder
