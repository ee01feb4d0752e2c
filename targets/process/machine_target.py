"""Target `process` as a target of this machine."""

from pathlib import Path
from typing import Any

from gateway.issuer_keys import without_keys
from settings.schema import Settings
from targets.machine.specification import FrontDoorSpec
from targets.machine_target import BEHIND, MachinePart, MachineTarget, Say
from targets.process import front_door, rollout, service, traffic
from targets.process.service_folder import Record, ServiceDirectory, check_owner
from targets.process.specification import ServiceSpec
from targets.process.supervisor import check_path
from targets.state import Measured

__all__ = ["TARGET"]


class _Service(MachinePart[ServiceSpec]):
    """Triton and the entry script server under a supervisor."""

    specification = ServiceSpec

    def apply(self, spec: ServiceSpec, say: Say) -> dict[str, Any]:
        generation = rollout.apply(spec, say).model_dump()
        if generation["digest"] != spec.digest:
            generation[BEHIND] = True
        if (candidate := _candidate(_folder(spec).record())) is not None:
            generation["candidate"] = candidate
        return {"generation": generation}

    def holder(self, spec: ServiceSpec) -> str:
        record = _folder(spec).record()
        return record.owner if record else ""

    def measure(self, spec: ServiceSpec) -> Measured:
        return service.measure(_folder(spec))

    def remove(self, spec: ServiceSpec, say: Say) -> None:
        if _folder(spec).is_taken_from(spec.owner):
            say(f"the service '{spec.service_name}' belongs to another stack now: it is left alone")
        service.remove(spec.state_directory, spec.service_name, spec.owner)

    def is_outdated(self, spec: ServiceSpec, generation: dict[str, Any]) -> bool:
        record = _folder(spec).record()
        return record is not None and record.owner == spec.owner and _candidate(record) != generation.get("candidate")


class _FrontDoor(MachinePart[FrontDoorSpec]):
    """A supervised Envoy."""

    specification = FrontDoorSpec

    def apply(self, spec: FrontDoorSpec, say: Say) -> dict[str, Any]:
        metrics_port = front_door.apply(spec)
        for line in without_keys(traffic.admin(_folder(spec)), spec.clients):
            say(line)
        return {"metrics_port": metrics_port}

    def holder(self, spec: FrontDoorSpec) -> str:
        record = _folder(spec).record()
        return record.door_owner if record else ""

    def measure(self, spec: FrontDoorSpec) -> Measured:
        return front_door.measure(_folder(spec))

    def remove(self, spec: FrontDoorSpec, say: Say) -> None:
        front_door.remove(spec.state_directory, spec.service_name, spec.owner)


class _Target(MachineTarget):
    service = _Service()
    front_door = _FrontDoor()

    def folder(self, state_directory: Path, service: str) -> ServiceDirectory:
        return ServiceDirectory.of(state_directory, service)

    def check(self, settings: Settings, owner: str) -> None:
        directory = self.folder(Path(settings.state_directory), settings.service_name)
        check_path(directory)
        check_owner(directory, owner, overwrite=settings.deployment.overwrite)
        record = directory.record()
        for setting, port in settings.deployment.ports.items():
            if record is None or not record.has_port(owner, port, setting):
                front_door.check_port(directory, port, owner, setting)


def _folder(spec: ServiceSpec | FrontDoorSpec) -> ServiceDirectory:
    return ServiceDirectory.of(spec.state_directory, spec.service_name)


def _candidate(record: Record | None) -> dict[str, Any] | None:
    if record is None or record.candidate is None:
        return None
    return {"number": record.candidate.number, "percent": record.percent}


TARGET = _Target()
