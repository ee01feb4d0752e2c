"""The verbs of target `docker`; each imports what it needs when it runs, Docker's library last."""

from collections.abc import Iterator
from pathlib import Path

from settings.schema import Target
from targets.contract import Deployed, Stack, Verbs

__all__ = ["VERBS"]


class _DockerVerbs(Verbs):
    target = Target.DOCKER

    def reports(self, stack: Stack) -> Path:
        from targets.docker.service_folder import Folder

        return Folder.of(stack.state_directory, stack.settings.service_name).reports

    def deployed(self, state_directory: Path) -> Iterator[Deployed]:
        from targets.docker.owner import stack_and_place
        from targets.docker.service_folder import Folder

        for folder in Folder.all_in(state_directory):
            yield Deployed(service=folder.name, stack=stack_and_place(folder.record().owner)[0])


VERBS = _DockerVerbs()
