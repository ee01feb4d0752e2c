"""The logs of a service's containers: the end of each, or all of them as they grow."""

import sys
import threading
from collections.abc import Callable

from targets.contract import Stack
from targets.docker.engine import Engine
from targets.errors import ServiceError
from targets.role import Role

__all__ = ["show"]

LINES = 50


def show(stack: Stack, *, follow: bool) -> int:
    """Write the logs of what runs, each under its name; `follow` goes on until interrupted. Gives an exit code.

    Raises `ServiceError` where the engine runs no such service.
    """
    service_name, write = stack.settings.service_name, sys.stdout.write
    with Engine() as engine:
        names = [container.name for container in engine.containers(service_name) if container.role is not Role.NETWORK]
        if not names:
            raise ServiceError(
                f"service '{service_name}' is not deployed on the engine at {engine.host}; make up does it"
            )
        for name in names:
            write(f"==> {name} <==\n{engine.logs(name, LINES)}\n")
        if follow:
            threads = [threading.Thread(target=_follow, args=(engine, name, write), daemon=True) for name in names]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    return 0


def _follow(engine: Engine, name: str, write: Callable[[str], object]) -> None:
    for line in engine.follow(name):
        write(f"{name}: {line}\n")
