"""Target `toy` as a target of this machine."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from bundle.probe_questions import declared_versions
from bundle.registry import Registry
from common.atomic_files import write_whole
from common.waiting import wait_until
from settings.schema import Settings
from targets.errors import ServiceError
from targets.machine.ports import free_ports
from targets.machine.service_folder import ServiceFolder
from targets.machine.specification import FrontDoorSpec, ServiceSpec
from targets.machine_target import MachinePart, MachineTarget, Say
from targets.served import ServedBundle
from targets.state import Measured, State

__all__ = ["TARGET", "Folder"]


class ToySpec(ServiceSpec):
    """A service of bundles."""

    bundles: tuple[ServedBundle, ...]


class Folder(ServiceFolder):
    """A service's folder with its record, `toy.json`."""

    RECORD = "toy.json"

    @classmethod
    def of(cls, state_directory: Path, service: str) -> "Folder":
        return cls(cls.find(state_directory / "toys", service), service)

    def read(self) -> dict[str, Any]:
        file = self.root / self.RECORD
        record: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
        return record

    def write(self, **changed: Any) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        write_whole(self.root / self.RECORD, json.dumps({**self.read(), **changed}), mode=0o600)

    def process(self) -> psutil.Process | None:
        try:
            found = psutil.Process(self.read().get("pid", -1))
        except (psutil.NoSuchProcess, ValueError):
            return None
        return found if found.status() != psutil.STATUS_ZOMBIE else None


def _folder(spec: ServiceSpec | FrontDoorSpec) -> Folder:
    return Folder.of(spec.state_directory, spec.service_name)


class _Service(MachinePart[ToySpec]):
    specification = ToySpec

    def apply(self, spec: ToySpec, say: Say) -> dict[str, Any]:
        registered = [Registry(bundle.registry).get(bundle.name, bundle.version) for bundle in spec.bundles]
        models = [dict(version) for held in registered for version in declared_versions(held)]
        digests = [bundle.digest for bundle in spec.bundles]
        _folder(spec).write(owner=spec.owner, models=models, digests=digests)
        say(f"{len(models)} models are in memory")
        return {"generation": {"digests": digests}}

    def holder(self, spec: ToySpec) -> str:
        return str(_folder(spec).read().get("owner", ""))

    def measure(self, spec: ToySpec) -> Measured:
        return Measured(State.HEALTHY) if _folder(spec).is_there else Measured(State.STOPPED, ("nothing is here",))

    def remove(self, spec: ToySpec, say: Say) -> None:
        _folder(spec).remove()


class _FrontDoor(MachinePart[FrontDoorSpec]):
    specification = FrontDoorSpec

    def apply(self, spec: FrontDoorSpec, say: Say) -> dict[str, Any]:
        folder = _folder(spec)
        _end(folder)
        keys = [spec.primary_key.get_secret_value(), spec.secondary_key.get_secret_value()]
        folder.write(port=spec.opening.port, keys=keys)
        server = subprocess.Popen(
            [sys.executable, "-m", "targets.toy.server", str(folder.root / folder.RECORD)],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        folder.write(pid=server.pid)
        if not wait_until(lambda: _listens(spec.opening.port), seconds=20):
            raise ServiceError("the toy does not listen")
        return {"metrics_port": free_ports(1)[0]}

    def holder(self, spec: FrontDoorSpec) -> str:
        return str(_folder(spec).read().get("owner", ""))

    def measure(self, spec: FrontDoorSpec) -> Measured:
        return Measured(State.HEALTHY) if _folder(spec).process() else Measured(State.STOPPED, ("nobody is at home",))

    def remove(self, spec: FrontDoorSpec, say: Say) -> None:
        _end(_folder(spec))


def _listens(port: int) -> bool:
    return any(c.laddr.port == port and c.status == psutil.CONN_LISTEN for c in psutil.net_connections("tcp"))


def _end(folder: Folder) -> None:
    if process := folder.process():
        process.send_signal(signal.SIGTERM)
        process.wait(10)


class _Target(MachineTarget):
    service = _Service()
    front_door = _FrontDoor()

    def folder(self, state_directory: Path, service: str) -> Folder:
        return Folder.of(state_directory, service)

    def check(self, settings: Settings, owner: str) -> None:
        if settings.entry_script is not None:
            raise ServiceError("target toy runs no entry script; take entryScript out")


TARGET = _Target()
