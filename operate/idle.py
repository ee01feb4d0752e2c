"""Whether stacks of this project are deployed from this folder: what purge removes is their only record."""

import json
from collections.abc import Iterator
from pathlib import Path

from settings.schema import Settings
from targets.contract import TARGETS, Deployed, verbs_of
from targets.errors import ServiceError

__all__ = ["check"]

# The folder of the Makefile's own backend, which purge removes; the stack itself and providers are nobody's loss.
BACKEND = Path(".var/backend/.pulumi/stacks")
_NOTHING = ("pulumi:pulumi:Stack", "pulumi:providers:")


def check(settings: Settings, *, besides: str = "") -> int:
    """Give 0 where nothing is deployed `besides` a stack; raises `ServiceError` that names what else is."""
    state_directory = Path(settings.state_directory).resolve()
    stacks = dict(_stacks(settings.project / BACKEND))
    deployed = [f"the stack '{name}' ({count} resources)" for name, count in stacks.items() if name != besides]
    for target in TARGETS:
        for found in verbs_of(target).deployed(state_directory):
            deployed += _service(found, besides)
    if deployed:
        raise ServiceError(
            f"still deployed from this folder: {', '.join(deployed)}; destroy that first: make destroy STACK=<stack>"
        )
    return 0


def _service(found: Deployed, besides: str) -> list[str]:
    """Put a service and its stack in words; none for a service of the stack `besides`."""
    if besides and found.stack.partition(" (")[0].rpartition("/")[2] == besides:
        return []
    return [f"the service '{found.service}'" + f" of the stack {found.stack}" * bool(found.stack)]


def _stacks(folder: Path) -> Iterator[tuple[str, int]]:
    """List the stacks of a file backend that have resources, and how many."""
    for file in sorted(folder.rglob("*.json")):
        checkpoint = json.loads(file.read_bytes()).get("checkpoint") or {}
        resources = (checkpoint.get("latest") or {}).get("resources") or ()
        if count := sum(not resource["type"].startswith(_NOTHING) for resource in resources):
            yield file.stem, count
