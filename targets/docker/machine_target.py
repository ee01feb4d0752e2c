"""Target `docker` as a target of this machine."""

from pathlib import Path
from typing import Any, TypeVar

from gateway.issuer_keys import without_keys
from settings.schema import Settings
from targets.docker import front_door, rollout, service
from targets.docker.containers import digest_of
from targets.docker.engine import Engine
from targets.docker.owner import owner_of
from targets.docker.service_folder import Folder, Record
from targets.docker.specification import FrontDoorSpec, ServiceSpec
from targets.machine_target import BEHIND, MachinePart, MachineTarget, Say
from targets.state import Measured

__all__ = ["TARGET"]

S = TypeVar("S", ServiceSpec, FrontDoorSpec)


class _Service(MachinePart[ServiceSpec]):
    """The containers of Triton and of the entry script server."""

    specification = ServiceSpec

    def apply(self, spec: ServiceSpec, say: Say) -> dict[str, Any]:
        record = rollout.apply(_owned(spec), say)
        generation: dict[str, Any] = {"number": record.generation, "digest": record.digest}
        if record.digest != digest_of(spec):
            generation[BEHIND] = True
        if (candidate := _candidate(record)) is not None:
            generation["candidate"] = candidate
        return {"generation": generation}

    def holder(self, spec: ServiceSpec) -> str:
        return _stack_of(_folder(spec).record().owner, spec)

    def measure(self, spec: ServiceSpec) -> Measured:
        return service.measure(spec.state_directory, spec.service_name)

    def remove(self, spec: ServiceSpec, say: Say) -> None:
        service.remove(spec.state_directory, spec.service_name, _owned(spec).owner)

    def is_outdated(self, spec: ServiceSpec, generation: dict[str, Any]) -> bool:
        record = _folder(spec).record()
        if record.owner == _owned(spec).owner and _candidate(record) != generation.get("candidate"):
            return True
        made = {generation.get("digest"), generation.get("candidate", {}).get("digest")}
        return spec.rollout.canary_traffic_percent != 0 and digest_of(spec) not in made


class _FrontDoor(MachinePart[FrontDoorSpec]):
    """Envoy's container."""

    specification = FrontDoorSpec

    def apply(self, spec: FrontDoorSpec, say: Say) -> dict[str, Any]:
        metrics_port = front_door.apply(_owned(spec))
        for line in without_keys(_folder(spec).admin, spec.clients):
            say(line)
        return {"metrics_port": metrics_port}

    def holder(self, spec: FrontDoorSpec) -> str:
        return _stack_of(_folder(spec).record().door_owner, spec)

    def measure(self, spec: FrontDoorSpec) -> Measured:
        return front_door.measure(spec.state_directory, spec.service_name)

    def remove(self, spec: FrontDoorSpec, say: Say) -> None:
        front_door.remove(spec.state_directory, spec.service_name, _owned(spec).owner)


class _Target(MachineTarget):
    service = _Service()
    front_door = _FrontDoor()

    def folder(self, state_directory: Path, service: str) -> Folder:
        return Folder.of(state_directory, service)

    def declared_service(self, settings: Settings) -> dict[str, Any]:
        return {
            **super().declared_service(settings),
            "scorer": settings.entry_script is not None,
            "scorer_share": settings.docker.scorer_share,
            "shared_memory_mb": settings.docker.shm_mb,
        }

    def check(self, settings: Settings, owner: str) -> None:
        directory, name = Path(settings.state_directory), settings.service_name
        record, owner = self.folder(directory, name).record(), owner_of(owner, directory)
        with Engine() as engine:
            rollout.check_owner(engine, name, owner, overwrite=settings.deployment.overwrite)
            for setting, port in settings.deployment.ports.items():
                if not record.has_port(owner, port, setting):
                    front_door.check_port(engine, name, owner, port, setting)
            engine.check_gpus(settings.deployment.resources)


def _folder(spec: ServiceSpec | FrontDoorSpec) -> Folder:
    return Folder.of(spec.state_directory, spec.service_name)


def _candidate(record: Record) -> dict[str, Any] | None:
    if not record.candidate:
        return None
    return {"number": record.candidate, "percent": record.percent, "digest": record.candidate_digest}


def _owned(spec: S) -> S:
    """The specification with the owner by which containers are found: the stack, and the place of its state."""
    return spec.model_copy(update={"owner": owner_of(spec.owner, spec.state_directory)})


def _stack_of(owner: str, spec: ServiceSpec | FrontDoorSpec) -> str:
    """A recorded owner as a stack's inputs name it: this stack's own name where the containers are its own."""
    return spec.owner if owner == owner_of(spec.owner, spec.state_directory) else owner


TARGET = _Target()
