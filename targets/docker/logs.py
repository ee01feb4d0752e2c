"""The logs of a service's containers: the end of each, or all of them as they grow."""

import threading
from contextlib import suppress

from targets.contract import Stack
from targets.docker.engine import Engine
from targets.errors import ServiceError
from targets.log_lines import print_line
from targets.role import Role

__all__ = ["show"]


def show(stack: Stack, *, follow: bool, as_json: bool, lines: int) -> int:
    """Print the logs of what runs, each under its name; `follow` goes on until interrupted. Gives an exit code.

    Raises `ServiceError` where the engine runs no such service.
    """
    service_name = stack.settings.service_name
    with Engine() as engine, suppress(BrokenPipeError):
        found = [container for container in engine.containers(service_name) if container.role is not Role.NETWORK]
        if not found:
            raise ServiceError(
                f"service '{service_name}' is not deployed on the engine at {engine.host}; make up does it"
            )
        names = [container.name for container in found if not as_json or container.role is Role.FRONT_DOOR]
        for name in names:
            for line in (f"==> {name} <==", *engine.logs(name, lines).splitlines(), ""):
                print_line(line, as_json=as_json)
        if follow:
            threads = [threading.Thread(target=_follow, args=(engine, name, as_json), daemon=True) for name in names]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    return 0


def _follow(engine: Engine, name: str, as_json: bool) -> None:
    with suppress(BrokenPipeError):
        for line in engine.follow(name):
            print_line(line, as_json=as_json, before=f"{name}: ")
