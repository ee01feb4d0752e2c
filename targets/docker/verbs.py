"""The verbs of target `docker`; each imports what it needs when it runs, Docker's library last."""

from collections.abc import Iterator
from pathlib import Path

from settings.schema import Target
from targets.contract import Deployed, OpenDoor, Stack, Verbs
from targets.errors import ServiceError

__all__ = ["VERBS"]


class _DockerVerbs(Verbs):
    target = Target.DOCKER

    def reports(self, stack: Stack) -> Path:
        from targets.docker.service_folder import Folder

        return Folder.of(stack.state_directory, stack.settings.service_name).reports

    def door(self, stack: Stack) -> OpenDoor:
        from targets.docker.service_folder import Folder
        from targets.machine.candidate import shares

        name = stack.settings.service_name
        folder = Folder.of(stack.state_directory, name)
        record = folder.record()
        if not record.generation or record.port is None or record.stats_port is None:
            raise ServiceError(f"service '{name}' is not deployed on this machine's Docker engine; make up does it")
        return OpenDoor(
            port=record.port,
            statistics_port=record.stats_port,
            serving=record.generation,
            shares=tuple(shares(record.generation, record.candidate, record.percent, folder.is_changing)),
        )

    def deployed(self, state_directory: Path) -> Iterator[Deployed]:
        from targets.docker.owner import stack_and_place
        from targets.docker.service_folder import Folder

        for folder in Folder.all_in(state_directory):
            yield Deployed(service=folder.name, stack=stack_and_place(folder.record().owner)[0])


VERBS = _DockerVerbs()
