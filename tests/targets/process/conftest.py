"""A service's folder, its supervisor, and small programs for it to run."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any, Literal

import httpx
import psutil
import pytest

from bundle.bundle_types import Bundle
from bundle.layout import check_files, check_layout
from bundle.registry import Registry
from environment.curated_clone import Environment
from environment.source_digest import digest_of
from environment.venv import BuiltEnvironment
from settings.service_groups import Limits, Resources, RolloutPlan
from targets.process import rollout
from targets.process import service as whole_service
from targets.process.service_folder import Generation, ServiceDirectory
from targets.process.specification import ServiceSpec
from targets.process.supervisor import Process, Supervisor
from targets.served import EntryScript, ServedBundle
from tests.built_environments import kept
from tests.triton_server import build_environment
from tests.waiting import eventually

PROJECT = Path(__file__).resolve().parents[3]
OWNER = "organization/project/test"


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[ServiceDirectory]:
    """The folder of a service that this test owns; whatever runs there at its end is stopped."""
    with claimed(tmp_path) as service:
        yield service


@contextlib.contextmanager
def claimed(state_directory: Path) -> Iterator[ServiceDirectory]:
    service = ServiceDirectory.of(state_directory, "web")
    service.claim(OWNER, overwrite=False)
    try:
        yield service
    finally:
        Supervisor(service).stop()


@dataclass
class Programs:
    """A running supervisor, and programs of Python code for it."""

    directory: ServiceDirectory
    supervisor: Supervisor

    def add(self, name: str, code: str, *, output: Path | None = None, **variables: str) -> None:
        file = self.directory.root / f"{name}.json"
        launch = {
            "command": [sys.executable, "-c", dedent(code)],
            "directory": str(self.directory.root),
            "variables": {"PATH": os.defpath, **variables},
        }
        file.write_text(json.dumps(launch))
        self.supervisor.add(name, file, log=self.log(name), output=output, stop_seconds=5)

    def log(self, name: str) -> Path:
        return self.directory.logs / f"{name}.log"

    def process(self, name: str) -> Process:
        return self.supervisor.processes()[name]

    def await_start(self, name: str, *, after: int = 0) -> int:
        """Wait for a process of this name, another one than `after`, and give its id."""
        eventually(lambda: self.process(name).pid not in (0, after))
        return self.process(name).pid


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    """One supervisor for a module's tests, which leave it running."""
    with claimed(tmp_path_factory.mktemp("state")) as service:
        supervisor = Supervisor(service)
        supervisor.start()
        yield Programs(service, supervisor)


@pytest.fixture
def own_programs(directory: ServiceDirectory) -> Programs:
    """A supervisor that the test may end."""
    supervisor = Supervisor(directory)
    supervisor.start()
    return Programs(directory, supervisor)


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that waits for its parent's notice has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture(scope="session")
def scoring_environment() -> BuiltEnvironment:
    """The curated environment without Triton, with this checkout's entry script server."""
    return kept(Environment.get("AzureML-Triton"), "processes-tests", triton=False)


def registered(registry: Registry, bundle: Bundle, framework: Literal["Multi", "Custom"]) -> ServedBundle:
    """Register a bundle as `m`, and give what a service serves of it."""
    made = registry.register("m", bundle, framework=framework)
    return ServedBundle(
        registry=registry.url,
        name=made.name,
        version=made.version,
        digest=made.digest,
        path=registry.local_path(made),
        framework=framework,
    )


def spec_of_triton(folder: Path, models: Path, **changes: Any) -> ServiceSpec:
    """A service of Triton alone with the bundle `models`, whose registry and state are in a folder."""
    environment = build_environment()
    values = {
        "service_name": "web",
        "owner": OWNER,
        "resources": Resources(),
        "limits": Limits(),
        "rollout": RolloutPlan(drain_seconds=30),
        "state_directory": folder / "state",
        "bundles": (registered(Registry(str(folder / "registry")), check_layout(models, target="process"), "Multi"),),
        "environment_path": environment.path,
        "environment_digest": environment.digest,
    }
    return ServiceSpec(**{**values, **changes})


@dataclass
class Service:
    """A scoring-only service of one script, deployed by the rollout, without any engine."""

    folder: Path
    environment: BuiltEnvironment
    progress: list[str]

    def spec(self, script: str | None = None, **changes: Any) -> ServiceSpec:
        """What to run: the script, the last one where none is given."""
        source = self.folder / "source"
        source.mkdir(exist_ok=True)
        if script is not None:
            (source / "score.py").write_text(dedent(script))
        values = {
            "service_name": "web",
            "owner": OWNER,
            "overwrite": False,
            "state_directory": self.folder / "state",
            "bundles": (self.bundle(),),
            "environment_path": self.environment.path,
            "environment_digest": self.environment.digest,
            "variables": {"WORKER_COUNT": "1"},
            "entry_script": EntryScript(source_directory=source, file="score.py", digest=digest_of(source)),
            "resources": Resources(),
            "limits": Limits(),
            "rollout": RolloutPlan(deadline_seconds=60, drain_seconds=5),
        }
        return ServiceSpec(**{**values, **changes})

    @property
    def registry(self) -> Registry:
        return Registry(str(self.folder / "registry"))

    def bundle(self, content: str = '{"w": 2}') -> ServedBundle:
        """A registered bundle of one file, `weights.json`."""
        model = self.folder / "model"
        model.mkdir(exist_ok=True)
        (model / "weights.json").write_text(content)
        return registered(self.registry, check_files(model), "Custom")

    def up(self, script: str | None = None, **changes: Any) -> Generation:
        self.progress.clear()
        return rollout.apply(self.spec(script, **changes), self.progress.append)

    @property
    def directory(self) -> ServiceDirectory:
        return ServiceDirectory.of(self.folder / "state", "web")

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.directory)

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each generation's server."""
        processes = self.supervisor.processes()
        return {name: process.pid for name, process in processes.items() if name.startswith("scorer-")}

    def pid(self, generation: Generation) -> int:
        return self.pids.get(f"scorer-{generation.number}", 0)

    def kill_supervisor(self) -> None:
        """Kill the supervisor, and wait until its processes have followed it."""
        supervisor = psutil.Process(int(self.directory.pid_file.read_text()))
        family = [supervisor, *supervisor.children(recursive=True)]
        supervisor.kill()
        eventually(lambda: all(is_gone(process.pid) for process in family))

    def score(self) -> str:
        """What `/score` answers, of the generation that has the traffic."""
        record = self.directory.record()
        assert record is not None
        assert record.current is not None
        return httpx.post(f"http://127.0.0.1:{record.current.scorer}/score", json={}, timeout=30).text


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, scoring_environment: BuiltEnvironment) -> Iterator[Service]:
    """A service for a module's tests, each of which begins with a rollout of its own."""
    folder = tmp_path_factory.mktemp("service")
    yield Service(folder, scoring_environment, [])
    whole_service.remove(folder / "state", "web", OWNER)
