"""The lock of an environment: every package that it gets, with version and hashes, as uv resolved them."""

import hashlib
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.atomic_files import write_whole
from common.errors import UserError
from environment.interpreter import Interpreter
from environment.uv_command import Progress, UvError, run_uv

__all__ = ["Lock", "ResolutionError", "resolve"]


class ResolutionError(UserError):
    """Packages that cannot be installed together, or found at all: the resolver's own words."""


@dataclass(frozen=True)
class Lock:
    """A resolution, for one Python and platform or with markers for all; `text` is a requirements file with hashes."""

    text: str

    @property
    def digest(self) -> str:
        """The SHA-256 of the text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def packages(self) -> dict[str, str]:
        """The locked packages' versions, by name; a package locked to a URL has that in place of a version."""
        return dict(re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*])?(?:==| @ )(\S+)", self.text, re.MULTILINE))


def resolve(
    requirements: Sequence[str],
    *,
    name: str,
    python: Interpreter | None,
    store: Path,
    pins: Sequence[str] = (),
    project: Path | None = None,
    progress: Progress = lambda line: None,
) -> Lock:
    """Resolve requirements for an interpreter of this machine, or (None) for every Python from 3.10 on, anywhere.

    `name` is the environment's, and `pins` are those of `requirements` that the user did not write: both serve the
    error. `project` is a folder whose `pyproject.toml` adds its dependencies. The lock is kept in `store` and taken
    from there the next time the same is asked, so that an environment does not change because a package was released
    meanwhile.

    Raises `ResolutionError` with the resolver's words.
    """
    pyproject = project / "pyproject.toml" if project else None
    version = f"{python.version} {python.platform}" if python else "universal"
    question = "\n".join([*requirements, version, pyproject.read_text("utf-8") if pyproject else ""])
    kept = store / f"{hashlib.sha256(question.encode()).hexdigest()[:24]}.txt"
    if kept.is_file():
        return Lock(kept.read_text(encoding="utf-8"))
    progress(f"resolving {name}")
    with tempfile.TemporaryDirectory() as folder:
        wanted, locked = Path(folder, "requirements.in"), Path(folder, "requirements.txt")
        wanted.write_text("".join(f"{line}\n" for line in requirements), encoding="utf-8")
        arguments = ["pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate"]
        arguments += ["--python", str(python.executable)] if python else ["--universal", "--python-version", "3.10"]
        arguments += ["--output-file", str(locked), str(wanted), *([str(pyproject)] if pyproject else [])]
        try:
            run_uv(arguments, progress=lambda line: None)
        except UvError as error:
            raise ResolutionError(_explain(str(error), name, pins)) from None
        lock = Lock(locked.read_text(encoding="utf-8"))
    write_whole(kept, lock.text, mode=0o600)
    return lock


def _explain(said: str, name: str, pins: Sequence[str]) -> str:
    met = [
        pin for pin in pins if re.search(rf"(?<![\w.-]){re.escape(re.split('[^A-Za-z0-9._-]', pin)[0])}(?![\w-])", said)
    ]
    note = f" ({', '.join(met)}: pinned by the environment, not by your settings)" if met else ""
    return f"the pip packages of environment {name!r} cannot be resolved: {said}{note}"
