"""Environments as virtual environments of this machine: built in a hidden folder, moved into place, shared.

A built environment is a folder `<name>-<digest12>` that never changes. The digest covers everything that it is made of,
so services with the same environment share the folder. A folder of that name is complete: a build that dies leaves only
a hidden folder, which the next build removes.

    bin/python                                          the interpreter of entry scripts and of Triton's Python backend
    triton/pytriton/tritonserver/bin/tritonserver       the server of the wheel nvidia-pytriton
    triton/pytriton/tritonserver/backends/<backend>     the Python backend and the Python-based ones of this project
    triton/nvidia_pytriton.libs                         its shared libraries, and a link to the interpreter's

The wheel's binaries find these libraries relative to themselves, so its layout is kept.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError
from environment import machine_requirements
from environment.curated_clone import Environment
from environment.curated_environments import Wheel
from environment.interpreter import Interpreter, inspect
from environment.package_lock import Lock, resolve
from environment.source_digest import digest_of
from environment.uv_command import Progress, UvError, run_uv

UTF8 = 'import sys; sys.flags.isolated and __import__("serving.utf8")'
"""The line of a `.pth` file that makes Triton's Python models read UTF-8: see `serving.utf8`."""

__all__ = ["BuildError", "BuiltEnvironment", "Triton", "build", "triton_in"]

PROJECT = Path(__file__).resolve().parents[1]
LAYOUT = 2  # the version of the folder's layout: raise it when the steps below change
_SERVER = Path("triton", "pytriton", "tritonserver")


class BuildError(UserError):
    """This machine cannot build an environment."""


@dataclass(frozen=True, kw_only=True)
class Triton:
    """Triton in a built environment.

    To start it, put the environment's `bin` first on PATH: Triton's Python backend takes its interpreter from there.

    Attributes:
        server: The program.
        backend_directory: Its argument `--backend-directory`.
        cache_directory: Its argument `--cache-directory`.
        library_path: Its variable LD_LIBRARY_PATH, where this is not empty.
    """

    server: Path
    backend_directory: Path
    cache_directory: Path
    library_path: str


@dataclass(frozen=True, kw_only=True)
class BuiltEnvironment:
    """An environment on this machine's disk; `triton` is None where it was built without Triton."""

    name: str
    path: Path
    digest: str
    lock: Lock
    triton: Triton | None

    @property
    def bin(self) -> Path:
        """Return the folder of the interpreter and the packages' commands."""
        return self.path / "bin"

    @property
    def python(self) -> Path:
        """Return the path of the interpreter."""
        return self.bin / "python"


def build(
    environment: Environment,
    *,
    root: Path,
    triton: bool = True,
    gpu: bool = False,
    python: Path | None = None,
    serving: Path = PROJECT / "serving",
    backends: Path = PROJECT / "targets" / "process" / "backends",
    locks: Path | None = None,
    progress: Progress = lambda line: None,
) -> BuiltEnvironment:
    """Build an environment under a folder, or find it there. Environments that exist do not change.

    Args:
        environment: The environment.
        root: The folder of all environments.
        triton: Whether to add Triton's server.
        gpu: Whether to add ONNX Runtime with CUDA.
        python: The interpreter to build on; by default the choice of `machine_requirements.interpreter_for`.
        serving: The project that serves entry scripts.
        backends: The folder of the Python-based Triton backends.
        locks: A folder of locks in place of those that the root keeps: `resolve` says how.
        progress: Called with each line worth showing.

    Raises:
        ResolutionError: Packages do not go together.
        BuildError: Anything else went wrong.
    """
    wheel = environment.curated.wheel
    interpreter = inspect(python) if python else machine_requirements.interpreter_for(wheel, triton=triton)
    extra = (wheel.packages.gpu if gpu else wheel.packages.cpu) if triton else ()
    if triton and (reasons := machine_requirements.why_not(wheel, interpreter)):
        raise BuildError("; ".join(reasons))
    root = root.resolve()
    lock = resolve(
        (*environment.requirements, *extra),
        name=environment.name,
        pins=(*environment.curated.packages, *extra),
        python=interpreter,
        project=serving,
        store=root / "locks",
        given=locks,
        progress=progress,
    )
    digest = _digest(environment, lock, interpreter, serving, backends if triton else None)
    path = root / f"{environment.name}-{digest[:12]}"
    if not is_usable(path):
        with one_build_at_a_time(root, progress) as descriptor:
            if not is_usable(path):
                shutil.rmtree(path, ignore_errors=True)
                progress(f"building {path.name}: {len(lock.packages)} packages")
                staging = root / f".{path.name}.partial"
                builder = _Builder(staging, interpreter, progress, descriptor)
                try:
                    builder.install(lock, serving)
                    if triton:
                        builder.install_triton(wheel, backends)
                    staging.rename(path)
                except (UvError, OSError) as error:
                    raise BuildError(f"environment {environment.name!r} cannot be built: {error}") from None
                finally:
                    shutil.rmtree(staging, ignore_errors=True)
    return BuiltEnvironment(
        name=environment.name, path=path, digest=digest, lock=lock, triton=triton_in(path) if triton else None
    )


def is_usable(path: Path) -> bool:
    """Tell whether an environment exists, together with the Python below it, which somebody may have removed."""
    return (path / "bin" / "python").exists()


@dataclass(frozen=True)
class _Builder:
    staging: Path
    interpreter: Interpreter
    progress: Progress
    lock_descriptor: int

    def install(self, lock: Lock, serving: Path) -> None:
        """Make the virtual environment with the locked packages and the serving project."""
        self._uv("venv", "--quiet", "--relocatable", "--python", str(self.interpreter.executable), str(self.staging))
        locked = self.staging / "requirements.txt"
        locked.write_text(lock.text, encoding="utf-8")
        self._install("--require-hashes", "-r", str(locked))
        # uv reuses its build of a folder until pyproject.toml changes, but the sources may have changed alone
        self._install("--no-deps", "--reinstall", str(serving))
        (packages,) = self.staging.glob("lib/python3.*/site-packages")
        (packages / "serving.pth").write_text(f"{UTF8}\n", encoding="utf-8")

    def install_triton(self, wheel: Wheel, backends: Path) -> None:
        """Add Triton's server, its Python backend for this interpreter, and the Python-based backends."""
        target = self.staging / "triton"
        locked = self.staging / "triton.txt"
        locked.write_text(f"{wheel.requirement} --hash={wheel.hash}\n", encoding="utf-8")
        # without the wheel's dependencies: its client library needs them, and entry scripts would get their versions
        self._install("--require-hashes", "--no-deps", "--target", str(target), "-r", str(locked))
        server = self.staging / _SERVER
        stub = server / "python_backend_stubs" / self.interpreter.minor_version / "triton_python_backend_stub"
        shutil.copy2(stub, server / "backends" / "python")
        if self.interpreter.library and self.interpreter.minor_version not in wheel.carries_library_of:
            (target / "nvidia_pytriton.libs" / self.interpreter.library.name).symlink_to(self.interpreter.library)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(backends, server / "backends", dirs_exist_ok=True, ignore=ignored)

    def _install(self, *arguments: str) -> None:
        self._uv("pip", "install", "--python", str(self.staging / "bin" / "python"), *arguments)

    def _uv(self, *arguments: str) -> None:
        run_uv(arguments, progress=self.progress, keep_open=[self.lock_descriptor])


def _digest(
    environment: Environment, lock: Lock, interpreter: Interpreter, serving: Path, backends: Path | None
) -> str:
    wheel = environment.curated.wheel
    made_of = {
        "layout": LAYOUT,
        "lock": lock.text,
        "python": [interpreter.implementation, interpreter.version, str(interpreter.prefix), interpreter.platform],
        "serving": digest_of(serving),
        "triton": [wheel.requirement, wheel.hash, digest_of(backends)] if backends else None,
    }
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


def triton_in(path: Path) -> Triton:
    """Return Triton in the environment that was built at `path`."""
    server = path / _SERVER
    cuda = sorted(path.glob("lib/python3.*/site-packages/nvidia/*/lib"))
    return Triton(
        server=server / "bin" / "tritonserver",
        backend_directory=server / "backends",
        cache_directory=server / "caches",
        library_path=":".join(map(str, cuda)),
    )


@contextmanager
def one_build_at_a_time(root: Path, progress: Progress) -> Iterator[int]:
    """Hold the lock of a folder of environments, and remove the remains of dead builds.

    Yields:
        The lock's file descriptor. A child that inherits it holds the lock too, so that the uv of a killed build cannot
        write into the next one.
    """
    root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(root / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another build to end")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        for left in root.glob(".*.partial"):
            shutil.rmtree(left)
        yield descriptor
    finally:
        os.close(descriptor)
