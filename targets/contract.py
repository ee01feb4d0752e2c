"""What a target does for people beside its rollouts, and the list of targets.

    operate ──► verbs_of(target) ──► process/verbs.py    ──► process/status.py, logs.py, check.py, keep.py
                                 ──► docker/verbs.py     ──► docker/status.py, logs.py, check.py
                                 ──► node_pool/verbs.py  ──► node_pool/status.py, logs.py

A target is imported when somebody asks for it, and its libraries when a verb of it runs: nobody needs Docker's library
to see a process's status.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from settings.schema import Settings, Target
from targets.errors import ServiceError

if TYPE_CHECKING:
    from targets.machine_target import MachineTarget

__all__ = [
    "LOG_LINES",
    "TARGETS",
    "Deployed",
    "OpenDoor",
    "Stack",
    "Verbs",
    "machine_target",
    "machine_targets",
    "verbs_of",
]

LOG_LINES = 50
"""The lines of each log that people see who ask for no number."""

TARGETS = {
    Target.PROCESS: "targets.process",
    Target.DOCKER: "targets.docker",
    Target.NODE_POOL: "targets.node_pool",
}
"""The folder of each target. Its module `verbs` has the target's `VERBS`.

A target whose services live on this machine has a module `machine_target` with its `TARGET`: that is all that Pulumi's
components and resources need of it.
"""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack that a verb is asked about.

    Attributes:
        settings: Its settings.
        cluster: Its output of that name, as JSON; "" where nothing is deployed, or no cluster serves it.
        kubeconfig: The text of the kubeconfig that the stack of its cluster has, a secret; "" where it names none.
    """

    settings: Settings
    cluster: str = ""
    kubeconfig: str = field(default="", repr=False)

    @property
    def state_directory(self) -> Path:
        """The folder in which services of this machine keep what they need."""
        return Path(self.settings.state_directory).resolve()


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A service that a folder's record tells of, and the stack that it belongs to; "" where nobody knows."""

    service: str
    stack: str


@dataclass(frozen=True, kw_only=True)
class OpenDoor:
    """The front door of a service of this machine, and who is behind it.

    Attributes:
        port: The port of this machine at which clients reach it.
        statistics_port: The port of this machine at which its metrics and Triton's are.
        serving: The number of the generation that serves.
        shares: Who has which share of the traffic, for people; empty where one generation has all of it.
    """

    port: int
    statistics_port: int
    serving: int
    shares: tuple[str, ...] = ()


class Verbs:
    """The verbs of one target. Each raises `ServiceError` where it cannot be done, in words for people.

    The modules `status`, `logs` and `check` of the target's folder do what is named after them.
    """

    target: Target

    def status(self, stack: Stack, console: Console) -> int:
        """Show the state of a stack's service and of its parts; gives 0 where it is healthy, and 1 otherwise."""
        return int(self._module("status").show(stack, console))

    def logs(self, stack: Stack, *, follow: bool, as_json: bool, lines: int = LOG_LINES) -> int:
        """Show the ends of the service's logs, or go on as they grow until interrupted.

        Args:
            stack: The stack.
            follow: Whether to go on.
            as_json: Whether to show the lines of the access log alone, as they are.
            lines: How many lines of each log to show at most.

        Returns:
            An exit code.
        """
        if as_json and not stack.settings.deployment.access_log:
            raise ServiceError(
                "deployment.accessLog is false: the service writes no line for a request; set it to true, then make up"
            )
        return int(self._module("logs").show(stack, follow=follow, as_json=as_json, lines=lines))

    def check(self, stack: Stack, console: Console) -> int:
        """Serve and probe a stack's models without registering them, then stop; gives an exit code."""
        return int(self._module("check").run(stack, console))

    def reports(self, stack: Stack) -> Path:
        """Name the folder of the reports of the service's rollouts (`targets.rollout_record`)."""
        raise ServiceError(f"target {self.target.value}: its rollouts leave no reports")

    def door(self, stack: Stack) -> OpenDoor:
        """Find the front door of the service, as its record tells."""
        raise ServiceError(
            f"target {self.target.value}: the dashboard shows services of this machine; on a cluster, "
            "nodePool.monitoring gives Grafana a dashboard of the same figures, and the alerts"
        )

    def deployed(self, state_directory: Path) -> Iterable[Deployed]:
        """List the services whose only record is in a state directory: none where others keep it."""
        return ()

    def keep(self, stack: Callable[[], Stack], say: Callable[[str], object]) -> int:
        """Start what supervises the service whenever it does not run; `stack` reads a stack that may change."""
        raise self._needs_no_keeper()

    def write_unit(self, project: Path, stack_name: str, say: Callable[[str], object]) -> int:
        """Write the systemd unit of this user that runs `keep`; gives an exit code."""
        raise self._needs_no_keeper()

    def _module(self, name: str) -> Any:
        """Import a module of the target's folder, and its libraries with it."""
        return import_module(f"{TARGETS[self.target]}.{name}")

    def _needs_no_keeper(self) -> ServiceError:
        return ServiceError(f"target {self.target.value}: what runs the service there starts it again by itself")


def verbs_of(target: Target) -> Verbs:
    """Import a target's verbs."""
    verbs: Verbs = import_module(f"{TARGETS[target]}.verbs").VERBS
    return verbs


def machine_target(target: Target) -> "MachineTarget":
    """Import a target of this machine."""
    found: MachineTarget = import_module(f"{TARGETS[target]}.machine_target").TARGET
    return found


def machine_targets() -> list[Target]:
    """List the targets of this machine, without importing them."""
    return [target for target, folder in TARGETS.items() if find_spec(f"{folder}.machine_target") is not None]
