"""Projects and folders that the tests of `environment` build from."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from environment.curated_clone import Environment
from environment.venv import BuiltEnvironment, build

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "entry-script-server"
version = "0.1.0"
dependencies = ["packaging>=24"]

[tool.hatch.build.targets.wheel]
include = ["*.py"]
sources = { "" = "serving" }
"""


def make_serving(folder: Path) -> Path:
    """A small project in the place of `serving`."""
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "__init__.py").write_text("GREETING = 'hello'\n")
    return folder


@pytest.fixture
def serving(tmp_path: Path) -> Path:
    """A small project in the place of `serving`, which the test may change."""
    return make_serving(tmp_path / "serving")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder that environments are built in."""
    return tmp_path / "environments"


@dataclass(frozen=True)
class Shared:
    """A folder with an environment built in it, and the project that it serves with."""

    root: Path
    serving: Path
    built: BuiltEnvironment


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """The curated environment without Triton, for all tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("shared")
    root, serving = folder / "environments", make_serving(folder / "serving")
    built = build(Environment.get("AzureML-Triton"), root=root, serving=serving, triton=False)
    return Shared(root, serving, built)
