"""The environments that tests build and keep between runs."""

import shutil
from pathlib import Path

from environment.venv import one_build_at_a_time


def keep_alone(path: Path) -> None:
    """Remove the environments that lie beside this one: earlier runs left them."""
    with one_build_at_a_time(path.parent, lambda line: None):
        for other in path.parent.iterdir():
            if other != path and (other / "pyvenv.cfg").is_file():
                hidden = other.with_name(f".{other.name}.partial")  # half removed, it must not look built
                other.rename(hidden)
                shutil.rmtree(hidden)
