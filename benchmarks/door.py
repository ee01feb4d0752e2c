"""What the front door costs as a whole: its processor time for a request, against a bare Envoy's, in turns.

    .venv/bin/python -m benchmarks.door --rounds 15 --seconds 2

Behind each, the same Envoy answers by itself. Prints each door's processor time for a request and its ratio to that of
the bare Envoy of the same round: medians, with the quartiles. Envoys run on one core and all else on the others, where
there are several. The goal of the whole door is 1.05.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks import load
from benchmarks.clients import PATH, PLENTY, Door, answering, front_door, running
from benchmarks.servers import bare_envoy
from gateway import envoy_command
from gateway.clients import Client
from targets.machine.ports import free_ports

BARE = "bare Envoy"
MODEL = PATH.split("/")[3]
CLIENT = Client(name="checkout", models=(MODEL,), requests_per_second=PLENTY, max_concurrent=PLENTY)
KINDS: Mapping[str, Mapping[str, Any]] = {
    "routes and the guard": {"auth_enabled": False},
    "and keys": {},
    "and a limit for all": {"requests_per_second": PLENTY},
    "and the log line": {"requests_per_second": PLENTY, "access_log": True},
    "and a client's models and limits": {
        "requests_per_second": PLENTY,
        "access_log": True,
        "clients": (CLIENT,),
    },
}


@contextmanager
def _bare(folder: Path, upstream: int) -> Iterator[Door]:
    (port,) = free_ports(1)
    file = folder / "bare.json"
    file.write_text(json.dumps(bare_envoy(port, upstream)))
    with running("bare", folder, envoy_command.command(str(file))) as process:
        yield Door(f"http://127.0.0.1:{port}{PATH}", "no-key", process)


def _microseconds(door: Door, body: Path, arguments: argparse.Namespace) -> float:
    """Load a door; gives its processor time for a request."""
    before = door.cpu_seconds()
    request = load.Request(door.url, body, {"Authorization": f"Bearer {door.key}"})
    done = load.run(request, concurrency=arguments.concurrency, seconds=arguments.seconds)
    if done.refused or done.broken or not done.requests:
        raise RuntimeError(f"{door.url}: {done.refused} refused, {done.broken} broken of {done.requests}")
    return 1e6 * (door.cpu_seconds() - before) / done.requests


def _part_cores(doors: Mapping[str, Door]) -> None:
    """Keep what is measured on a core of its own."""
    first, *others = sorted(os.sched_getaffinity(0))
    if not others:
        return
    for process in psutil.Process().children(recursive=True):
        measured = any(process.pid == door.process.pid for door in doors.values())
        for thread in process.threads():
            os.sched_setaffinity(thread.id, {first} if measured else set(others))
    os.sched_setaffinity(0, set(others))


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), metavar="KIND")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        body = folder / "body"
        body.write_text('{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}')
        upstream = stack.enter_context(answering(folder))
        doors = {BARE: stack.enter_context(_bare(folder, upstream))}
        for number, kind in enumerate(arguments.kinds):
            doors[kind] = stack.enter_context(front_door(f"door-{number}", folder, upstream, **KINDS[kind]))
        _part_cores(doors)
        found: dict[str, list[float]] = {kind: [] for kind in doors}
        for turn in range(-1, arguments.rounds):
            for kind in doors if turn % 2 else reversed(doors):
                microseconds = _microseconds(doors[kind], body, arguments)
                if turn >= 0:  # the first turn warms up
                    found[kind].append(microseconds)
    for kind, times in found.items():
        ratios = [time / bare for time, bare in zip(times, found[BARE], strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4)
        ratio = f"{statistics.median(ratios):.3f} ({low:.3f} to {high:.3f})"
        sys.stdout.write(f"{kind}: {statistics.median(times):.1f} us; ratio {ratio}\n")


if __name__ == "__main__":
    main()
