"""The environments that tests build and keep between runs."""

import shutil
from pathlib import Path
from typing import Any

from environment.curated_clone import Environment
from environment.venv import BuiltEnvironment, build, one_build_at_a_time

CACHE = Path(__file__).resolve().parents[1] / ".var" / "cache"


def kept(environment: Environment, folder: str, **options: Any) -> BuiltEnvironment:
    """Build an environment in a folder of the cache that no other has; other workers and later runs find it there."""
    built = build(environment, root=CACHE / folder, **options)
    keep_alone(built.path)
    return built


def keep_alone(*paths: Path) -> None:
    """Remove the environments that lie beside these, all of one folder: earlier runs left them."""
    folder = paths[0].parent
    with one_build_at_a_time(folder, lambda line: None):
        for other in folder.iterdir():
            if other not in paths and (other / "pyvenv.cfg").is_file():
                hidden = other.with_name(f".{other.name}.partial")  # half removed, it must not look built
                other.rename(hidden)
                shutil.rmtree(hidden)
