"""The verbs of target `docker`; each imports what it needs when it runs, Docker's library last."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from settings.schema import Target
from targets.contract import Deployed, Stack, Verbs

__all__ = ["VERBS"]


class _DockerVerbs(Verbs):
    target = Target.DOCKER

    def status(self, stack: Stack, console: Console) -> int:
        from targets.docker import status

        return status.show(stack, console)

    def logs(self, stack: Stack, *, follow: bool) -> int:
        from targets.docker import logs

        return logs.show(stack, follow=follow)

    def check(self, stack: Stack, console: Console) -> int:
        from targets.docker import check

        return check.run(stack, console)

    def deployed(self, state_directory: Path) -> Iterator[Deployed]:
        from targets.docker.owner import stack_and_place
        from targets.docker.service_folder import Folder

        for folder in Folder.all_in(state_directory):
            yield Deployed(service=folder.name, stack=stack_and_place(folder.record().owner)[0])


VERBS = _DockerVerbs()
