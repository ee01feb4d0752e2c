"""The logs of a service's containers: the end of each, or all of them as they grow."""

import threading
from collections.abc import Callable

from targets.docker.engine import Engine
from targets.machine.service import ServiceError
from targets.role import Role

__all__ = ["show"]

LINES = 50


def show(service_name: str, write: Callable[[str], object], *, follow: bool) -> None:
    """Write the logs of what runs, each under its name; `follow` goes on until interrupted.

    Raises `ServiceError` where the engine runs no such service.
    """
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


def _follow(engine: Engine, name: str, write: Callable[[str], object]) -> None:
    for line in engine.follow(name):
        write(f"{name}: {line}\n")
