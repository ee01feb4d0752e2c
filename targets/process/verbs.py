"""The verbs of target `process`; each imports what it needs when it runs."""

from collections.abc import Callable, Iterator
from pathlib import Path

from settings.schema import Target
from targets.contract import Deployed, OpenDoor, Stack, Verbs
from targets.errors import ServiceError

__all__ = ["VERBS"]


class _ProcessVerbs(Verbs):
    target = Target.PROCESS

    def reports(self, stack: Stack) -> Path:
        from targets.process.service_folder import ServiceDirectory

        return ServiceDirectory.of(stack.state_directory, stack.settings.service_name).reports

    def door(self, stack: Stack) -> OpenDoor:
        from targets.machine.candidate import shares
        from targets.process.service_folder import ServiceDirectory

        name = stack.settings.service_name
        directory = ServiceDirectory.of(stack.state_directory, name)
        record = directory.record()
        if record is None or record.current is None or record.port is None or record.stats_port is None:
            raise ServiceError(f"service '{name}' is not deployed on this machine; make up does it")
        serving, candidate = record.current.number, record.candidate.number if record.candidate else None
        return OpenDoor(
            port=record.port,
            statistics_port=record.stats_port,
            serving=serving,
            shares=tuple(shares(serving, candidate, record.percent, directory.is_changing)),
        )

    def deployed(self, state_directory: Path) -> Iterator[Deployed]:
        from targets.process.service_folder import ServiceDirectory

        for folder in ServiceDirectory.all_in(state_directory):
            record = folder.record()
            yield Deployed(service=folder.name, stack=record.owner if record else "")

    def keep(self, stack: Callable[[], Stack], say: Callable[[str], object]) -> int:
        from targets.process import keep

        keep.watch(stack, say)

    def write_unit(self, project: Path, stack_name: str, say: Callable[[str], object]) -> int:
        from targets.process import keep

        return keep.write_unit(project, stack_name, say)


VERBS = _ProcessVerbs()
