"""The verbs of target `toy`."""

from rich.console import Console

from settings.schema import Target
from targets.contract import LOG_LINES, Stack, Verbs
from targets.toy.machine_target import Folder

__all__ = ["VERBS"]


class _ToyVerbs(Verbs):
    target = Target.TOY

    def status(self, stack: Stack, console: Console) -> int:
        running = Folder.of(stack.state_directory, stack.settings.service_name).process()
        console.print(f"{stack.settings.service_name}: {'Healthy' if running else 'Stopped'}")
        return 0 if running else 1

    def logs(self, stack: Stack, *, follow: bool, as_json: bool, lines: int = LOG_LINES) -> int:
        return 0

    def check(self, stack: Stack, console: Console) -> int:
        return 0


VERBS = _ToyVerbs()
