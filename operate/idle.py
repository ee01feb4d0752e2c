"""Whether services of this project are deployed on this machine: their files must stay while they run."""

from pathlib import Path

from machine.service import ServiceError
from processes.directory import ServiceDirectory
from settings import Settings

__all__ = ["check"]


def check(settings: Settings, project: Path) -> int:
    """Give 0 where no service lives in the state directory; raises `ServiceError` that names those that do."""
    state_directory = (project / settings.state_directory).resolve()
    deployed = []
    for folder in sorted([*state_directory.glob("services/*/"), *state_directory.glob("docker/*/")]):
        record = ServiceDirectory(folder).record()
        deployed.append(f"'{folder.name}'" + (f" (stack {record.owner})" if record else ""))
    if deployed:
        raise ServiceError(
            f"still deployed on this machine: {', '.join(deployed)}; destroy that first: make destroy STACK=<stack>"
        )
    return 0
