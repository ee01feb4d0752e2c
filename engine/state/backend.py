"""Pulumi's file backend: where stacks' checkpoints, locks, backups and history lie.

    .pulumi/meta.yaml                                    version: 1
    .pulumi/stacks/<project>/<stack>.json                the checkpoint, .json.bak the one before
    .pulumi/backups/<project>/<stack>/<stack>.<ns>.json  one per operation
    .pulumi/history/<project>/<stack>/<stack>-<ns>.{history,checkpoint}.json
    .pulumi/locks/organization/<project>/<stack>/<uuid>.json

The layout is pkg/backend/diy in Pulumi's repository.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import unquote, urlsplit

from common.atomic_files import write_whole
from engine.errors import CLI_HINT, EngineError, StackNotFound, StateDamaged, StateNotWritten
from engine.state.shape import check_deployment

_COMPRESSED = (".gz", ".zst")
_STACK_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


@dataclass(frozen=True)
class Backend:
    """A folder that holds `.pulumi`."""

    url: str
    root: Path

    @classmethod
    def open(cls, url: str, project_root: Path) -> Backend:
        """Return the backend at a `file://` URL; `file://~` is the home folder.

        A folder that is not there is made within the project alone: elsewhere it may be one that is not mounted.
        """
        parts = urlsplit(url)
        if parts.scheme != "file":
            raise EngineError(f"The backend '{url}' is not a file:// one, which this engine is limited to. {CLI_HINT}")
        path = Path(unquote(url.partition("?")[0][len("file://") :])).expanduser()
        backend = cls(url, path if path.is_absolute() else project_root / path)
        meta = backend.root / ".pulumi" / "meta.yaml"
        if not backend.root.exists() and not backend.root.is_relative_to(project_root):
            raise EngineError(
                f"The backend's folder '{backend.root}' does not exist: mount it, or make it where it is new "
                f"(mkdir -p {backend.root})."
            )
        try:
            if meta.exists():
                if "version: 1" not in meta.read_text():
                    raise EngineError(
                        f"The backend's '{meta}' does not say 'version: 1', all this engine knows. {CLI_HINT}"
                    )
            else:
                if any((backend.root / ".pulumi" / "stacks").glob("*.json*")):
                    raise EngineError(
                        f"The backend '{backend.root}' has the layout of older versions of Pulumi, which this engine "
                        f"does not know; 'pulumi state upgrade' brings it up to date. {CLI_HINT}"
                    )
                write_whole(meta, "version: 1\n")
        except OSError as error:
            raise EngineError(f"The backend '{backend.root}' cannot be used: {error.strerror or error}.") from None
        return backend

    def stack(self, project: str, name: str) -> Stack:
        """Return the place of a stack, given as `name`, `organization/name` or `organization/project/name`."""
        *front, stack = name.split("/")
        if len(front) > 2 or not _STACK_NAME.fullmatch(stack):
            raise EngineError(f"'{name}' is not the name of a stack: letters, digits, '-', '_' and '.' may be in it.")
        if front and front[0] != "organization":
            raise EngineError(f"'{name}' is not the name of a stack: a file backend's organization is 'organization'.")
        return Stack(self, front[1] if len(front) == 2 else project, stack)

    def stacks(self, project: str) -> list[str]:
        """Return the names of the project's stacks."""
        folder = self.root / ".pulumi" / "stacks" / project
        endings = [f".json{ending}" for ending in ("", *_COMPRESSED)]
        return sorted({path.name.removesuffix(end) for end in endings for path in folder.glob(f"*{end}")})


@dataclass(frozen=True)
class Stack:
    """The files of one stack."""

    backend: Backend
    project: str
    name: str

    @property
    def full_name(self) -> str:
        """The name as the backend has it, `organization/<project>/<stack>`."""
        return f"organization/{self.project}/{self.name}"

    @property
    def checkpoint(self) -> Path:
        """The stack's checkpoint."""
        return self._folder("stacks").parent / f"{self.name}.json"

    def _folder(self, kind: str) -> Path:
        return self.backend.root / ".pulumi" / kind / self.project / self.name

    @property
    def _locks(self) -> Path:
        return self.backend.root / ".pulumi" / "locks" / "organization" / self.project / self.name

    @property
    def compressed(self) -> Path | None:
        """The stack's checkpoint where it is compressed."""
        paths = (self.checkpoint.with_name(f"{self.checkpoint.name}{ending}") for ending in _COMPRESSED)
        return next((path for path in paths if path.exists()), None)

    def exists(self) -> bool:
        """Tell whether there is such a stack.

        Raises:
            EngineError: Its checkpoint is compressed.
        """
        if self.compressed is not None:
            raise EngineError(
                f"The checkpoint '{self.compressed}' is compressed, which this engine does not do. An update by the "
                f"CLI without PULUMI_DIY_BACKEND_GZIP and PULUMI_DIY_BACKEND_ZSTD writes it anew. {CLI_HINT}"
            )
        return self.checkpoint.exists()

    def read(self) -> dict[str, Any]:
        """Return the checkpoint's JSON: `version`, `features` and `deployment`, None before the first operation.

        Raises:
            EngineError: There is no such stack, or the file is no checkpoint.
        """
        try:
            document = json.loads(self.checkpoint.read_text(encoding="utf-8"))
            deployment = document["checkpoint"].get("latest")
            check_deployment(deployment)
            return {"version": document["version"], "features": read_features(document), "deployment": deployment}
        except FileNotFoundError:
            raise StackNotFound(f"no stack named '{self.name}' found") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StateDamaged(
                f"The checkpoint '{self.checkpoint}' is damaged: not as Pulumi writes it ({error}). {self.way_back}"
            ) from None

    @property
    def way_back(self) -> str:
        """What a person can do whose state is damaged."""
        backups = sorted(self._folder("backups").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        if not backups:
            return "It has no backup: repair it, or import an exported state with 'stack import --file'."
        return f"Its newest backup goes in its place with: stack import --stack {self.name} --file '{backups[-1]}'"

    def write(self, text: str) -> None:
        """Replace the checkpoint, durably and at once; the one before stays as `.bak`.

        Raises:
            StateNotWritten: The backend cannot be written.
        """
        path = self.checkpoint
        try:
            if path.exists():
                backup = path.with_name(path.name + ".bak")
                scratch = backup.with_name(backup.name + ".new")
                scratch.unlink(missing_ok=True)
                try:
                    os.link(path, scratch)
                except OSError:  # not every file system has links
                    shutil.copyfile(path, scratch)
                scratch.replace(backup)
            write_whole(path, text)
        except OSError as error:
            raise StateNotWritten(f"The checkpoint '{path}' cannot be written: {error.strerror or error}.") from None

    def back_up(self) -> None:
        """Keep a copy of the checkpoint as it is.

        Raises:
            EngineError: The copy cannot be written.
        """
        folder = self._folder("backups")
        if self.exists():
            with _writing(folder):
                write_whole(folder / f"{self.name}.{time.time_ns()}.json", self.checkpoint.read_bytes())

    def add_history(self, update: dict[str, Any]) -> None:
        """Keep an operation's entry and its checkpoint.

        Raises:
            EngineError: They cannot be written.
        """
        folder = self._folder("history")
        stem = f"{self.name}-{time.time_ns()}"
        with _writing(folder):
            write_whole(folder / f"{stem}.history.json", json.dumps(update, indent=4) + "\n")
            write_whole(folder / f"{stem}.checkpoint.json", self.checkpoint.read_bytes())

    def remove(self) -> None:
        """Remove the stack; its last checkpoint stays as `.bak`, as the CLI leaves it."""
        self.checkpoint.replace(self.checkpoint.with_name(self.checkpoint.name + ".bak"))
        shutil.rmtree(self._folder("history"), ignore_errors=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the stack's lock; a dead run's lock is taken away.

        Raises:
            EngineError: Another run holds it.
        """
        path = self._locks / f"{uuid.uuid4()}.json"
        self._refuse_locked(path)
        try:
            # Elsewhere at first: the CLI takes whatever lies in the locks' folder for a lock.
            held = _write_lock(path, self.backend.root / ".pulumi" / f"{path.name}.new")
        except OSError as error:
            raise EngineError(f"The stack cannot be locked: '{path}': {error.strerror or error}.") from None
        try:
            self._refuse_locked(path)
            yield
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            held.close()

    def _refuse_locked(self, own: Path) -> None:
        held = []
        for path in sorted(self._locks.glob("*.json")):
            if path == own:
                continue
            owner = _read_lock(path)
            if owner is None or _is_dead(path, owner):
                path.unlink(missing_ok=True)
            else:
                held.append(
                    f"  file://{path}: created by {owner['username']}@{owner['hostname']} (pid {owner['pid']}) "
                    f"at {owner['timestamp']}"
                )
        if held:
            raise EngineError(
                f"the stack is currently locked by {len(held)} lock(s). Either wait for the other process(es) to end "
                "or delete the lock file with `pulumi cancel` (here: `python -m engine cancel --yes`).\n"
                + "\n".join(held)
            )

    def cancel(self) -> None:
        """Take every lock away."""
        for path in self._locks.glob("*"):
            path.unlink(missing_ok=True)


_ENGINE = "embedded engine"


def read_features(document: dict[str, Any]) -> list[str]:
    """Return the features that a checkpoint or an exported state says it uses.

    Raises:
        ValueError: They are no names.
    """
    features = document.get("features") or []
    if not (isinstance(features, list) and all(isinstance(name, str) for name in features)):
        raise ValueError("'features' is no list of names")
    return features


def _write_lock(path: Path, scratch: Path) -> TextIO:
    """Make a lock file. The process holds the file's own lock as long as it lives, by which `_is_dead` knows."""
    owner = {
        "pid": os.getpid(),
        "username": getpass.getuser(),
        "hostname": socket.gethostname(),
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "startedBy": _ENGINE,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    file = scratch.open("w", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps(owner))
        file.flush()
        scratch.replace(path)
    except OSError:
        with suppress(OSError):
            file.close()
        scratch.unlink(missing_ok=True)
        raise
    return file


def _read_lock(path: Path) -> dict[str, Any] | None:
    """Return the lock's owner, or None when it has just been released."""
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(owner, dict):
            owner = {}
        return {key: owner.get(key, "unknown") for key in ("pid", "username", "hostname", "timestamp", "startedBy")}
    except FileNotFoundError:
        return None
    except ValueError:
        return dict.fromkeys(("pid", "username", "hostname", "timestamp", "startedBy"), "unknown")


def _is_dead(path: Path, owner: dict[str, Any]) -> bool:
    """Tell whether the lock is of a run of this engine, on this machine, that has ended without taking it away."""
    if owner["startedBy"] != _ENGINE or owner["hostname"] != socket.gethostname():
        return False
    try:
        with path.open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise EngineError(f"The folder '{folder}' cannot be written: {error.strerror or error}.") from None
