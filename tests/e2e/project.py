"""A copy of this project with stacks of its own, brought up by the embedded engine on the real servers."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from targets.machine.ports import free_ports
from targets.process.service_folder import Record, ServiceDirectory
from targets.process.supervisor import Supervisor
from tests.engine_path import engine_path

SOURCE = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "tests", "benchmarks", "docs")  # byte code goes along, or each copy compiles it
SECONDS = 240


@dataclass
class Result:
    """A command's end: its exit code and all it printed."""

    code: int
    text: str


def by_pulumi(*arguments: str) -> list[str]:
    """A command for Pulumi's CLI in place of the embedded engine; what asks first is told to go on."""
    return ["pulumi", *arguments, *(["--skip-preview"] if arguments[0] in ("up", "destroy", "refresh") else [])]


class Project:
    """The project in a folder of a test's own, with one stack."""

    previews = True  # whether `up` shows first what it will do, as it does for people

    def __init__(self, root: Path, stack: str = "e2e") -> None:
        self.root, self.stack, self.port = root, stack, free_ports(1)[0]
        shutil.copytree(SOURCE, root, ignore=LEFT_OUT)
        (root / "stacks").mkdir(exist_ok=True)
        for file in (root / "stacks").iterdir():
            file.unlink()
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "TRITON_", "AZUREML"))
        } | {
            "PULUMI_BACKEND_URL": f"file://{root}/.var/backend",
            "PULUMI_CONFIG_PASSPHRASE": "a passphrase for tests",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PYTHONPATH": engine_path(root),
        }
        (root / ".var" / "backend").mkdir(parents=True)
        self.settings: dict[str, Any] = {
            "serviceName": "svc",
            "models": [{"path": "models", "name": "m"}],
            "deployment": {"port": self.port, "rollout": {"deadlineSeconds": 90, "drainSeconds": 10}},
        }
        self.write_settings()
        created = self.engine("stack", "init", stack)
        assert created.code == 0, created.text

    # -- what is declared

    def write_settings(self, **changed: Any) -> None:
        """Change settings (a group is merged, None takes one away) and write the stack's file."""
        for name, value in changed.items():
            if value is None:
                self.settings.pop(name, None)
            elif isinstance(value, dict):
                self.settings[name] = {**self.settings.get(name, {}), **value}
            else:
                self.settings[name] = value
        file = self.root / "stacks" / f"Pulumi.{self.stack}.yaml"
        content = yaml.safe_load(file.read_text()) if file.is_file() else {}
        content["config"] = {f"triton-serving:{name}": value for name, value in self.settings.items()}
        file.write_text(yaml.safe_dump(content))

    def add_model(self, name: str = "digits") -> Path:
        """Put one of the project's models into the bundle's folder."""
        target = self.root / "models" / "triton" / name
        shutil.copytree(SOURCE / "model_repository" / "triton" / name, target)
        return target

    def write_script(self, text: str, golden: dict[str, Any] | None = None) -> None:
        """Write the entry script `score.py`, and its golden request."""
        folder = self.root / "scripts"
        folder.mkdir(exist_ok=True)
        (folder / "score.py").write_text(text)
        if golden is not None:
            (folder / "score.golden.json").write_text(json.dumps(golden))

    def score_alone(self, script: str) -> None:
        """Declare a service of an entry script without Triton: one worker, and a bundle of one file."""
        (self.root / "models").mkdir()
        (self.root / "models" / "weights").write_text("1")
        self.write_script(script)
        self.write_settings(
            models=[{"path": "models", "name": "m", "framework": "Custom"}],
            entryScript="score.py",
            environment={"variables": {"WORKER_COUNT": "1"}},
        )

    # -- what is done

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "engine", *arguments]

    def engine(self, *arguments: str) -> Result:
        return self._run(self.command(*arguments))

    def up(self, *, fails: bool = False) -> str:
        """Run `up` and give what it printed; the test fails unless it ends as expected."""
        result = self.engine(*self._up)
        assert (result.code != 0) == fails, result.text
        return result.text

    def start_up(self) -> subprocess.Popen[str]:
        """Start `up` in a process group of its own, to be killed."""
        return subprocess.Popen(
            self.command(*self._up),
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @property
    def _up(self) -> tuple[str, ...]:
        return ("up", "--yes", *(() if self.previews else ("--skip-preview",)), "--stack", self.stack)

    def outputs(self, stack: str = "") -> dict[str, Any]:
        result = self.engine("stack", "output", "--json", "--show-secrets", "--stack", stack or self.stack)
        assert result.code == 0, result.text
        outputs: dict[str, Any] = json.loads(result.text)
        return outputs

    def operate(self, *arguments: str, given: str = "") -> Result:
        """Run one of our own verbs, as the Makefile does."""
        return self._run([sys.executable, "-m", "operate", *arguments, "--stack", self.stack], given)

    def new(self, stack: str, model: Path, **asked: str) -> Result:
        """Write a new stack for a model, as the Makefile does, and make it the one that the other verbs are for."""
        self.stack = stack
        arguments = [f"--{name}={value}" for name, value in {"name": stack, "model": model, **asked}.items()]
        return self._run([sys.executable, "-m", "operate", "new", *arguments])

    def _run(self, command: list[str], given: str = "") -> Result:
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Result(done.returncode, done.stdout)

    def destroy(self) -> None:
        if self.stack_file.is_file():
            result = self.engine("destroy", "--yes", "--stack", self.stack)
            assert result.code == 0, result.text

    # -- what is there

    @property
    def stack_file(self) -> Path:
        return self.root / ".var" / "backend" / ".pulumi" / "stacks" / "triton-serving" / f"{self.stack}.json"

    def resources(self, stack: str) -> list[str]:
        """The types of a stack's resources, but for the stack itself."""
        checkpoint = json.loads(self.stack_file.with_name(f"{stack}.json").read_text())["checkpoint"]
        every = (checkpoint.get("latest") or {}).get("resources") or ()
        return [resource["type"] for resource in every if resource["type"] != "pulumi:pulumi:Stack"]

    @property
    def directory(self) -> ServiceDirectory:
        return ServiceDirectory.of(self.root / ".var", self.settings["serviceName"])

    @property
    def record(self) -> Record:
        record = self.directory.record()
        assert record is not None
        return record

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of what the supervisor runs, and its own."""
        running = {name: process.pid for name, process in Supervisor(self.directory).processes().items()}
        file = self.directory.root / "supervisord.pid"
        return running | ({"supervisord": int(file.read_text())} if file.is_file() else {})

    def kill(self, name: str) -> int:
        """Kill a supervised process, as the system might, and give the id that it had."""
        pid = self.pids[name]
        os.kill(pid, signal.SIGKILL)
        return pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.outputs()['primaryKey']}"}, timeout=30
        )

    def processes(self) -> list[psutil.Process]:
        """Every process that was started from this project's folder."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            if any(str(self.root) in part for part in process.info["cmdline"] or ()):
                found.append(process)
        return found


@contextmanager
def project(root: Path) -> Iterator[Project]:
    """A project whose service is destroyed at the end, however that comes."""
    made = Project(root)
    try:
        yield made
    finally:
        made.destroy()


@contextmanager
def dashboard(deployed: Project, port: int, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The verb as the Makefile runs it, and the address that it prints."""
    engine = f"{sys.executable} -m engine"
    command = [sys.executable, "-m", "operate", "dashboard", "--stack", deployed.stack, "--engine", engine]
    started = subprocess.Popen(
        [*command, f"--port={port}"],
        cwd=deployed.root,
        env=deployed.environment | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )
    assert started.stdout is not None
    try:
        yield started, started.stdout.readline()
    finally:
        started.kill()
        started.wait()
        started.stdout.close()


@dataclass
class Hammer:
    """What a hammering client saw: how many answers, and each that was wrong."""

    answers: int = 0
    wrong: list[str] = field(default_factory=list)


@contextmanager
def hammering(
    ask: Callable[[httpx.Client], str | None], make: Callable[[], httpx.Client], *, pause: float = 0
) -> Iterator[Hammer]:
    """Ask over and over from two clients while the block runs, with a pause of seconds between two questions.

    `ask` says what is wrong with an answer, if anything.
    """
    seen, over, lock = Hammer(), threading.Event(), threading.Lock()

    def client() -> None:
        with make() as asking:
            while not over.wait(pause):
                try:
                    wrong = ask(asking)
                except httpx.HTTPError as error:
                    wrong = repr(error)
                with lock:
                    seen.answers += 1
                    if wrong:
                        seen.wrong.append(wrong)

    threads = [threading.Thread(target=client) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join(60)
