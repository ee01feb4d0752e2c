"""What a new stack is called, and which port it gets: as no other stack of the project has them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from operate.new.errors import NewStackError
from settings import stack_reader
from settings.errors import SettingsError
from settings.schema import SERVICE_NAME
from targets.machine.ports import free_ports

__all__ = ["free_port", "other_stacks", "require_stack_name", "service_name"]

_STACK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_FIRST_PORT, _PORTS = 6789, 200


def require_stack_name(name: str) -> None:
    """Refuse a name that is none of a stack.

    Raises:
        NewStackError: The name is missing, or has other characters than a stack's.
    """
    usage = "make new NAME=mine MODEL=path [TARGET=process|docker|node-pool] [SCRIPT=1]"
    if not name:
        raise NewStackError(f"NAME is missing; expected a name for the stack; say: {usage}")
    if not _STACK_NAME.fullmatch(name):
        raise NewStackError(
            f"NAME={name}: is no name of a stack; expected up to 63 letters, digits, '_', '.' and '-', starting with a "
            f"letter or digit; say: {usage}"
        )


def other_stacks(project: Path) -> list[dict[str, Any]]:
    """Read the settings of the project's stacks, without those whose files have mistakes."""
    found = []
    for file in sorted((project / "stacks").glob("Pulumi.*.yaml")):
        try:
            found.append(stack_reader.read(project, file.name.removeprefix("Pulumi.").removesuffix(".yaml")).values)
        except SettingsError:
            continue
    return found


def service_name(name: str, others: list[dict[str, Any]]) -> str:
    """Make the name of a stack's service, unlike that of any other stack."""
    base = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
    base = base if base[:1].isalpha() else f"service-{base}".rstrip("-")
    base = (base if len(base) > 2 else f"{base}-service")[:32].rstrip("-")
    taken = {str(values.get("serviceName", "triton-webservice")) for values in others}
    number, found = 1, base
    while found in taken:
        number += 1
        found = f"{base[: 31 - len(str(number))].rstrip('-')}-{number}"
    assert SERVICE_NAME.fullmatch(found), found
    return found


def free_port(others: list[dict[str, Any]]) -> int:
    """Choose a port for the front door: none of another stack's, and free on this machine now."""
    groups = [values.get("deployment") for values in others]
    taken = {group.get("port", _FIRST_PORT) if isinstance(group, dict) else _FIRST_PORT for group in groups}
    wanted = [port for port in range(_FIRST_PORT, _FIRST_PORT + _PORTS) if port not in taken]
    return free_ports(1, preferred=wanted)[0]
