"""A stack of the project `things`, in a folder of the test's own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.state.checkpoint import STACK_TYPE, write_checkpoint, write_deployment
from engine.state.crypto import Crypter
from engine.state.session import Session
from tests.engine_path import engine_path
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
PASSPHRASE = "test"
TOKEN = "a-secret-token"


class Result:
    """How a command ended: exit status, stdout and stderr."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    def __repr__(self) -> str:
        return f"exit status {self.status}\n{self.out}\n{self.err}"


class Stack:
    """A copy of the project `things` and its stack `s`."""

    def __init__(self, folder: Path, crypter: Crypter) -> None:
        self.folder = folder
        self.settings = folder / "Pulumi.s.yaml"
        self.marker = f"engine-test-{os.urandom(8).hex()}"
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": engine_path(ROOT),
            "PULUMI_BACKEND_URL": f"file://{folder}/backend",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_HOME": str(folder / "home"),
            "MARKER": self.marker,
        }
        self.environment.pop("PYTHONUNBUFFERED", None)
        self._crypter = crypter
        shutil.copytree(Path(__file__).parent / "things", folder)
        (folder / ".venv").symlink_to(sys.prefix)
        (folder / "backend").mkdir()
        self.declare()

    def encrypt(self, text: str) -> str:
        """The ciphertext of a secret of the stack's settings."""
        return self._crypter.encrypt(text)

    def declare(self, things: dict[str, dict[str, Any]] | None = None, **config: Any) -> None:
        """Writes the stack's settings: its things, by name, and further configuration."""
        document = {
            "encryptionsalt": self._crypter.state,
            "config": {
                "things:things": [{"name": name, **entry} for name, entry in (things or {}).items()],
                "things:token": {"secure": self._crypter.encrypt(TOKEN)},
                **{f"things:{key}": value for key, value in config.items()},
            },
        }
        self.settings.write_text(yaml.safe_dump(document, sort_keys=False))

    def initialize(self) -> None:
        """Makes the stack, as `stack init` does."""
        session = Session(self.folder, self.environment)
        place = session.backend.stack("things", "s")
        place.write(write_checkpoint(place.full_name, write_deployment((), (), self._crypter.state)))
        session.project.select_stack(place.full_name, self.environment)

    def start(
        self, *command: str, through: tuple[str, ...] = (sys.executable, "-m", "engine")
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*through, *command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def engine(
        self, *command: str, status: int = 0, through: tuple[str, ...] = (sys.executable, "-m", "engine")
    ) -> Result:
        """Runs the engine, or what is named by `through`, to its end, and expects its exit status."""
        process = self.start(*command, through=through)
        try:
            out, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        result = Result(process.returncode, out, err)
        assert result.status == status, result
        return result

    def up(self, *flags: str, status: int = 0) -> Result:
        return self.engine("up", "--yes", "--skip-preview", *flags, status=status)

    @property
    def checkpoint(self) -> Path:
        return self.folder / "backend/.pulumi/stacks/things/s.json"

    def deployment(self) -> dict[str, Any]:
        deployment: dict[str, Any] = json.loads(self.checkpoint.read_text())["checkpoint"]["latest"]
        return deployment

    def resources(self) -> dict[str, dict[str, Any]]:
        """The things and groups in the state, by name."""
        return {
            item["urn"].split("::")[-1]: item
            for item in self.deployment().get("resources", [])
            if "test:" in item["type"] and not item.get("delete")
        }

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, as the state has them."""
        resources = self.deployment()["resources"]
        found: dict[str, Any] = next(item for item in resources if item["type"] == STACK_TYPE)["outputs"]
        return found

    def objects(self) -> set[str]:
        """The ids of the objects that exist."""
        return {path.name for path in (self.folder / "objects").glob("*")}

    def calls(self) -> list[str]:
        """What providers were asked to do since the last look, such as `create a`."""
        path = self.folder / "calls"
        calls = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return calls

    def processes(self) -> list[int]:
        """The processes that runs of this stack have left."""
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if self.marker.encode() in path.read_bytes():
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return found


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Whoever starts the tests in the background has them, and all they start, ignore Ctrl-C; nohup, a hang-up."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def crypter() -> Crypter:
    return Crypter(PASSPHRASE)


@pytest.fixture
def stack(tmp_path: Path, crypter: Crypter) -> Iterator[Stack]:
    made = Stack(tmp_path / "things", crypter)
    made.initialize()
    yield made
    eventually(lambda: not made.processes())
