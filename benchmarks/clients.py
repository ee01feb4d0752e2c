"""What 200 clients and 100 models cost a request: front doors with clients, and one with two keys, in turns.

    .venv/bin/python -m benchmarks.clients --rounds 7 --seconds 3

Behind the doors an Envoy answers by itself, so that nothing but the doors is compared. Prints for each kind of clients
the median of the rounds' differences, with their range, in p50 at one request at a time and in the door's processor
time for a request. The goal is 0.02 ms of p50.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

import psutil

from benchmarks import load
from gateway import envoy_command, envoy_files, envoy_folder
from gateway.admin import Admin
from gateway.clients import Client
from gateway.front_door_options import Options, Triton, Upstreams, loopback
from gateway.keys import Keys, make_key
from gateway.listener import CONNECTION_MANAGER
from targets.machine.ports import free_ports

CLIENTS, MODELS = 200, 100
PATH = f"/v2/models/model-{MODELS - 1}/infer"
NAMES = tuple(f"model-{number}" for number in range(MODELS))
PLENTY = 1_000_000


@dataclass(frozen=True)
class Door:
    """A front door, the key that its measured client sends, and its process."""

    url: str
    key: str
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """Return the processor time so far."""
        used = self.process.cpu_times()
        return float(used.user + used.system)


def kinds() -> dict[str, tuple[Client, ...]]:
    """Give the clients of each door that is compared with the door without any."""

    def clients(**settings: object) -> tuple[Client, ...]:
        return tuple(Client.model_validate({"name": f"client-{number}", **settings}) for number in range(CLIENTS))

    limits = {"requests_per_second": PLENTY, "max_concurrent": PLENTY}
    return {
        f"{CLIENTS} clients with keys": clients(),
        f"and {MODELS} models each": clients(models=NAMES),
        "and limits": clients(models=NAMES, **limits),
        "limits without models": clients(**limits),
    }


@contextmanager
def running(name: str, folder: Path, command: list[str]) -> Iterator[psutil.Process]:
    """Run a command while the block does; its output goes to a file of the folder."""
    with (folder / f"{name}.log").open("wb") as log:
        process = Popen(command, env={"PATH": os.defpath}, stdout=log, stderr=log)
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(20)


@contextmanager
def front_door(
    name: str, folder: Path, upstream: int, clients: Sequence[Client] = (), **settings: Any
) -> Iterator[Door]:
    """Run a front door before the server at a port of this machine; `settings` are those of `Options`."""
    port, stats = free_ports(2)
    address = loopback(upstream)
    directory = folder / name
    triton = Triton(http=address, grpc=address, metrics=address)
    options = Options(
        Upstreams(triton),
        str(directory),
        listen=loopback(port),
        stats=loopback(stats),
        clients=tuple(clients),
        **settings,
    )
    own, keys = Keys(make_key(), make_key()), {client.name: Keys(make_key(), make_key()) for client in clients}
    rendered = envoy_files.render(options) | envoy_files.render_keys(own, clients, keys)
    envoy_folder.install(directory, rendered)
    admin = Admin(options.admin_socket)
    with running(name, folder, envoy_command.command(f"{directory}/bootstrap.json")) as process:
        admin.await_ready(30)
        key = keys[clients[-1].name].primary if clients else own.primary
        yield Door(f"http://127.0.0.1:{port}{PATH}", key, process)


@contextmanager
def answering(folder: Path) -> Iterator[int]:
    """Run an Envoy that answers every request by itself, and give its port."""
    (port,) = free_ports(1)
    types = "type.googleapis.com/envoy.extensions.filters.http"
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "{}"}}}
    manager = {
        "@type": CONNECTION_MANAGER,
        "stat_prefix": "answering",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{types}.router.v3.Router"}}],
    }
    chain = {"filters": [{"name": "manager", "typed_config": manager}]}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    bootstrap = {"static_resources": {"listeners": [{"name": "all", "address": address, "filter_chains": [chain]}]}}
    file = folder / "answering.json"
    file.write_text(json.dumps(bootstrap))
    with running("answering", folder, envoy_command.command(str(file))):
        time.sleep(2)
        yield port


def _measured(door: Door, body: Path, concurrency: int, seconds: int) -> tuple[float, float]:
    """Load a door; gives the p50 and the door's processor time of a request, in ms."""
    before = door.cpu_seconds()
    headers = {"Authorization": f"Bearer {door.key}"}
    done = load.run(load.Request(door.url, body, headers), concurrency=concurrency, seconds=seconds)
    if done.refused or done.broken:
        raise RuntimeError(f"{door.url}: {done.refused} answers were no success, {done.broken} connections broke")
    return done.p50_ms, (door.cpu_seconds() - before) / done.requests * 1000


def _shown(differences: list[float]) -> str:
    return f"{statistics.median(differences):+.4f} ({min(differences):+.4f} to {max(differences):+.4f})"


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        body = folder / "body"
        body.write_text('{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}')
        upstream = stack.enter_context(answering(folder))
        plain = stack.enter_context(front_door("plain", folder, upstream, ()))
        doors = {
            kind: stack.enter_context(front_door(f"door-{number}", folder, upstream, clients))
            for number, (kind, clients) in enumerate(kinds().items())
        }
        found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in doors}
        base: list[tuple[float, float]] = []
        for turn in range(arguments.rounds):
            for kind, door in doors.items():
                pair = (plain, door) if turn % 2 else (door, plain)
                at = {
                    measured.url: _measured(measured, body, arguments.concurrency, arguments.seconds)
                    for measured in pair
                }
                base.append(at[plain.url])
                found[kind].append((at[door.url][0] - at[plain.url][0], at[door.url][1] - at[plain.url][1]))
    p50, processor = (statistics.median(values) for values in zip(*base, strict=True))
    write = sys.stdout.write
    write(f"two keys: p50 {p50:.4f} ms, processor {processor:.4f} ms a request, {arguments.concurrency} at once\n")
    for kind, differences in found.items():
        latency, used = (list(values) for values in zip(*differences, strict=True))
        write(f"{kind}: p50 {_shown(latency)} ms, processor {_shown(used)} ms\n")


if __name__ == "__main__":
    main()
