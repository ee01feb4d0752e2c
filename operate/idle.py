"""Whether stacks of this project are deployed from this folder: what purge removes is their only record."""

import json
from collections.abc import Iterator
from pathlib import Path

from machine.service import ServiceError
from processes.directory import ServiceDirectory
from settings import Settings

__all__ = ["check"]

# The folder of the Makefile's own backend, which purge removes; the stack itself and providers are nobody's loss.
BACKEND = Path(".var/backend/.pulumi/stacks")
_NOTHING = ("pulumi:pulumi:Stack", "pulumi:providers:")


def check(settings: Settings, project: Path) -> int:
    """Give 0 where nothing is deployed; raises `ServiceError` that names the services and stacks that are."""
    state_directory = (project / settings.state_directory).resolve()
    deployed = [f"the stack '{name}' ({count} resources)" for name, count in _stacks(project / BACKEND)]
    for folder in sorted([*state_directory.glob("services/*/"), *state_directory.glob("docker/*/")]):
        record = ServiceDirectory(folder).record()
        deployed.append(f"the service '{folder.name}'" + (f" of the stack {record.owner}" if record else ""))
    if deployed:
        raise ServiceError(
            f"still deployed from this folder: {', '.join(deployed)}; destroy that first: make destroy STACK=<stack>"
        )
    return 0


def _stacks(folder: Path) -> Iterator[tuple[str, int]]:
    """The stacks of a file backend that have resources, and how many."""
    for file in sorted(folder.rglob("*.json")):
        checkpoint = json.loads(file.read_bytes()).get("checkpoint") or {}
        resources = (checkpoint.get("latest") or {}).get("resources") or ()
        if count := sum(not resource["type"].startswith(_NOTHING) for resource in resources):
            yield file.stem, count
