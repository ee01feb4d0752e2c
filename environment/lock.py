"""The lock of an environment: every package that it gets, with version and hashes, as uv resolved them."""

import hashlib
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from environment.files import write_atomically
from environment.interpreter import Interpreter
from environment.uv_command import Progress, UvError, run_uv

__all__ = ["Lock", "ResolutionError", "resolve"]


class ResolutionError(Exception):
    """Packages that cannot be installed together, or found at all: the resolver's own words."""


@dataclass(frozen=True)
class Lock:
    """A resolution for one Python on one platform; `text` is a requirements file with hashes."""

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
    python: Interpreter | str,
    store: Path,
    pins: Sequence[str] = (),
    project: Path | None = None,
    platform: str | None = None,
    progress: Progress = lambda line: None,
) -> Lock:
    """Resolve requirements for an interpreter of this machine, or for a Python version (`3.12`) elsewhere.

    `name` is the environment's, and `pins` are those of `requirements` that the user did not write: both serve the
    error. `project` is a folder whose `pyproject.toml` adds its dependencies. `platform` is one of uv's platform names;
    by default this machine's. The lock is kept in `store` and taken from there the next time the same is asked, so that
    an environment does not change because a package was released meanwhile.

    Raises `ResolutionError` with the resolver's words.
    """
    pyproject = project / "pyproject.toml" if project else None
    version = python if isinstance(python, str) else f"{python.version} {python.platform}"
    question = "\n".join([*requirements, version, platform or "", pyproject.read_text("utf-8") if pyproject else ""])
    kept = store / f"{hashlib.sha256(question.encode()).hexdigest()[:24]}.txt"
    if kept.is_file():
        return Lock(kept.read_text(encoding="utf-8"))
    progress(f"resolving {name}")
    with tempfile.TemporaryDirectory() as folder:
        wanted, locked = Path(folder, "requirements.in"), Path(folder, "requirements.txt")
        wanted.write_text("".join(f"{line}\n" for line in requirements), encoding="utf-8")
        arguments = ["pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate"]
        arguments += ["--python-version", python] if isinstance(python, str) else ["--python", str(python.executable)]
        arguments += ["--python-platform", platform] if platform else []
        arguments += ["--output-file", str(locked), str(wanted), *([str(pyproject)] if pyproject else [])]
        try:
            run_uv(arguments, progress=lambda line: None)
        except UvError as error:
            raise ResolutionError(_explain(str(error), name, pins)) from None
        lock = Lock(locked.read_text(encoding="utf-8"))
    write_atomically(kept, lock.text)
    return lock


def _explain(said: str, name: str, pins: Sequence[str]) -> str:
    met = [
        pin for pin in pins if re.search(rf"(?<![\w.-]){re.escape(re.split('[^A-Za-z0-9._-]', pin)[0])}(?![\w-])", said)
    ]
    note = f" ({', '.join(met)}: pinned by the environment, not by your settings)" if met else ""
    return f"the pip packages of environment {name!r} cannot be resolved: {said}{note}"
