"""Target `process` as a target of this machine."""

from pathlib import Path
from typing import Any

from settings.schema import Settings
from targets.machine.specification import FrontDoorSpec
from targets.machine_target import MachinePart, MachineTarget, Say
from targets.process import front_door, rollout, service
from targets.process.service_folder import ServiceDirectory, check_owner
from targets.process.specification import ServiceSpec
from targets.process.supervisor import check_path
from targets.state import Measured

__all__ = ["TARGET"]


class _Service(MachinePart[ServiceSpec]):
    """Triton and the entry script server under a supervisor."""

    specification = ServiceSpec

    def apply(self, spec: ServiceSpec, say: Say) -> dict[str, Any]:
        generation = rollout.apply(spec, say).model_dump()
        record = _folder(spec).record()
        if record is not None and record.candidate is not None:
            generation["candidate"] = {"number": record.candidate.number, "percent": record.percent}
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


class _FrontDoor(MachinePart[FrontDoorSpec]):
    """A supervised Envoy."""

    specification = FrontDoorSpec

    def apply(self, spec: FrontDoorSpec, say: Say) -> dict[str, Any]:
        return {"metrics_port": front_door.apply(spec)}

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


TARGET = _Target()
