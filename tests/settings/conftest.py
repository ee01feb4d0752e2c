"""A project with models and a script, and the settings of a service made of them."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundle.layout import check_files, check_layout
from bundle.registry import Registry
from settings.errors import Mistake, SettingsError
from settings.load import load
from settings.schema import Settings
from settings.stack_reader import file_of

REPOSITORY = Path(__file__).resolve().parents[2] / "model_repository"
SCRIPT = "def init(): ...\ndef run(data): ...\n"
Check = Callable[..., list[str]]

VALID: dict[str, Any] = {
    "serviceName": "triton-webservice",
    "models": [{"path": "models", "name": "digits"}],
    "entryScript": "score.py",
    "environment": {"name": "My-Triton", "clone": "AzureML-Triton", "pipPackages": ["nltk"]},
    "deployment": {"target": "process", "port": 6789},
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, two registered models, and a machine: two processors, 8 GB of memory, no GPU, what Triton needs."""
    shutil.copytree(REPOSITORY / "triton" / "digits", tmp_path / "models" / "triton" / "digits")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "score.py").write_text(SCRIPT)
    registry = Registry(str(tmp_path / ".var" / "registry"))
    registry.register("digits", check_layout(tmp_path / "models", target="process"), framework="Multi")
    registry.register("other.model-2", check_files(tmp_path / "scripts"), framework="Custom")
    monkeypatch.setattr("settings.rules.this_machine.processors", lambda: 2)
    monkeypatch.setattr("settings.rules.this_machine.memory_gb", lambda: 8.04)
    monkeypatch.setattr("settings.rules.gpus.gpus", lambda: 0)
    monkeypatch.setattr("settings.rules.this_machine.why_not", lambda wheel: ())
    return tmp_path


def merged(tree: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The tree with changes: groups are merged, anything else is replaced."""
    result = copy.deepcopy(tree)
    for name, value in changes.items():
        old = result.get(name)
        result[name] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def mistakes_of(read: Callable[[], Settings]) -> list[Mistake]:
    """The mistakes that reading settings ends with; none where it gives settings."""
    try:
        assert isinstance(read(), Settings)
    except SettingsError as error:
        return list(error.mistakes)
    return []


@pytest.fixture
def settings_of(project: Path) -> Callable[..., Settings]:
    """Load the valid settings with changes."""

    def settings_of(changes: dict[str, Any], secret: tuple[str, ...] = ()) -> Settings:
        return load(merged(VALID, changes), subject=file_of("test"), project=project, secret=secret)

    return settings_of


@pytest.fixture
def mistakes(settings_of: Callable[..., Settings], project: Path) -> Check:
    """What is wrong with the valid settings after changes, a line each, the project's folder as PROJECT."""

    def mistakes(changes: dict[str, Any], secret: tuple[str, ...] = ()) -> list[str]:
        found = mistakes_of(lambda: settings_of(changes, secret))
        return [str(mistake).replace(str(project), "PROJECT") for mistake in found]

    return mistakes
