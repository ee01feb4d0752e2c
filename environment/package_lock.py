"""The lock of an environment: every package that it gets, with version and hashes, as uv resolves them."""

import hashlib
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common.atomic_files import write_whole
from common.errors import UserError
from environment.interpreter import Interpreter
from environment.uv_command import Progress, UvError, run_uv

__all__ = ["Lock", "ResolutionError", "resolve"]


class ResolutionError(UserError):
    """Packages do not go together, or do not exist. The text has the resolver's own words."""


@dataclass(frozen=True)
class Lock:
    """A resolution for one Python and platform, or with markers for all.

    Attributes:
        text: A requirements file with hashes.
        file: Where it is kept.
    """

    text: str
    file: Path = field(default=Path(), compare=False)

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def packages(self) -> dict[str, str]:
        """Return the locked versions by package; a package that is locked to a URL has the URL as its version."""
        return dict(re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*])?(?:==| @ )(\S+)", self.text, re.MULTILINE))


def resolve(
    requirements: Sequence[str],
    *,
    name: str,
    python: Interpreter | None,
    store: Path,
    pins: Sequence[str] = (),
    project: Path | None = None,
    given: Path | None = None,
    progress: Progress = lambda line: None,
) -> Lock:
    """Resolve requirements.

    The lock is kept and used again for the same requirements, so that a new release of a package does not change an
    environment.

    Args:
        requirements: The requirements, in PEP 508's form.
        name: The environment's name, for the error.
        python: The interpreter to resolve for; None for every Python from 3.10 on, on every platform.
        store: The folder that keeps locks.
        pins: The requirements that the user did not write, for the error.
        project: A folder whose `pyproject.toml` adds its dependencies.
        given: A folder of locks that hold in place of those in `store`. Where it has none for these requirements on
            this Python, they are resolved to the versions that it has, as far as these still go together.
        progress: Called with each line worth showing.

    Raises:
        ResolutionError: The requirements have no resolution.
    """
    pyproject = project / "pyproject.toml" if project else None
    version = f"{python.version} {python.platform}" if python else "universal"
    question = "\n".join([*requirements, version, pyproject.read_text("utf-8") if pyproject else ""])
    preferred = ""
    if given is not None:
        if (same := given / _file_of(question)).is_file():
            return Lock(same.read_text(encoding="utf-8"), same)
        preferred = max((file.read_text(encoding="utf-8") for file in sorted(given.glob("*.txt"))), key=len, default="")
    kept = store / _file_of(question + preferred)
    if kept.is_file():
        return Lock(kept.read_text(encoding="utf-8"), kept)
    at = f" at the versions of {given}, whose locks are for other Pythons or other requirements" if preferred else ""
    progress(f"resolving {name}{at}")
    with tempfile.TemporaryDirectory() as folder:
        wanted, locked = Path(folder, "requirements.in"), Path(folder, "requirements.txt")
        wanted.write_text("".join(f"{line}\n" for line in requirements), encoding="utf-8")
        if preferred:
            locked.write_text(preferred, encoding="utf-8")  # uv keeps to the versions of a file that it replaces
        arguments = ["pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate"]
        arguments += ["--python", str(python.executable)] if python else ["--universal", "--python-version", "3.10"]
        arguments += ["--output-file", str(locked), str(wanted), *([str(pyproject)] if pyproject else [])]
        try:
            run_uv(arguments, progress=lambda line: None)
        except UvError as error:
            raise ResolutionError(_explain(str(error), name, pins)) from None
        lock = Lock(locked.read_text(encoding="utf-8"), kept)
    write_whole(kept, lock.text, mode=0o600)
    return lock


def _file_of(question: str) -> str:
    return f"{hashlib.sha256(question.encode()).hexdigest()[:24]}.txt"


def _explain(said: str, name: str, pins: Sequence[str]) -> str:
    met = [
        pin for pin in pins if re.search(rf"(?<![\w.-]){re.escape(re.split('[^A-Za-z0-9._-]', pin)[0])}(?![\w-])", said)
    ]
    note = f" ({', '.join(met)}: pinned by the environment, not by your settings)" if met else ""
    return f"the pip packages of environment {name!r} cannot be resolved: {said}{note}"
