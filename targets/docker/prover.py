"""The prover of the `docker` target: a container of the service's image, which is gone when this returns."""

import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from common.atomic_files import write_whole
from common.waiting import shielded, wait_until
from environment.image_layout import SCORER_PORT, TRITON_HTTP_PORT
from targets.docker import front_door
from targets.docker.containers import PLAN_FILE, PROBES, prover
from targets.docker.engine import Engine
from targets.docker.specification import ServiceSpec
from targets.proving import Outcome, Run, Servers, Side
from targets.role import Role

__all__ = ["front_door_metrics", "runner", "side"]

_POLL_SECONDS = 0.5
_READ_SECONDS = 30


def runner(engine: Engine, spec: ServiceSpec, number: int, folder: Path) -> Run:
    """Make the way to run the prover of a generation; the plan lies in `folder` meanwhile."""
    return partial(_run, engine, spec, number, folder)


def _run(
    engine: Engine,
    spec: ServiceSpec,
    number: int,
    folder: Path,
    plan: str,
    seconds: float,
    progress: Callable[[str], None],
) -> Outcome:
    container = prover(spec, number, folder, user=engine.user())
    told: list[str] = []

    def is_over() -> bool:
        ended = engine.exit_of(container.name) is not None
        lines = engine.printed(container.name, error=True).splitlines()
        for line in lines[len(told) :]:
            progress(line)
        told[:] = lines
        return ended

    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(folder / PLAN_FILE, plan, mode=0o600)
        engine.start(container)
        wait_until(is_over, seconds=seconds, every=_POLL_SECONDS)
        ended = engine.exit_of(container.name)
        return Outcome(ended.code if ended else None, engine.printed(container.name), tuple(told))
    finally:
        with shielded():
            engine.remove(container.name)
            shutil.rmtree(folder, ignore_errors=True)


def side(engine: Engine, number: int, address: str, names: Mapping[Role, str]) -> Side:
    """Describe a generation at an address in the service's network; its containers hold what its probe asks."""
    ports = {Role.TRITON: TRITON_HTTP_PORT, Role.SCORER: SCORER_PORT}
    serving = {role: name for role, name in names.items() if role in PROBES}
    questions: dict[str, Any] = {}
    for role, name in serving.items():
        status, text = engine.run(name, ["cat", PROBES[role]], _READ_SECONDS)
        questions[role.value] = from_json(text)[role.value] if status == 0 else None
    urls = {role.value: f"http://{address}:{ports[role]}" for role in serving}
    return Side(number, Servers(**urls), questions)


def front_door_metrics(engine: Engine, spec: ServiceSpec) -> str | None:
    """Find Envoy's metrics in the service's network; None where it does not run."""
    doors = [c for c in engine.containers(spec.service_name, spec.owner) if c.role == Role.FRONT_DOOR]
    door = next((door for door in doors if door.running and door.address), None)
    return f"http://{door.address}:{front_door.STATS_PORT}/stats/prometheus" if door else None
