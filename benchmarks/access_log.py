"""What the access log costs: the front door with it and one without, in turns, before a server that answers at once.

    .venv/bin/python -m benchmarks.access_log --rounds 9 --seconds 4

Each front door runs under a supervisor of its own, as on target `process`, which writes the lines to files and rotates
them. Prints the processor time that Envoy and the supervisor take for a request, the throughput, and p50: medians, and
the medians of the rounds' ratios with their range.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import load
from benchmarks.servers import KEY, Machinery, Server
from environment.venv import BuiltEnvironment
from gateway import envoy_command, envoy_files, envoy_folder
from gateway.front_door_options import Options, Triton, Upstreams, loopback
from gateway.keys import Keys
from targets.machine.ports import free_ports

PROJECT = Path(__file__).resolve().parents[1]
PATH = "/v2/models/wine/versions/1/infer"
BODY = b'{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1.5, 2.5, 3.5, 4.5]}]}'
HEADERS = {"Authorization": f"Bearer {KEY}", "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}

_SUPERVISORD = """\
[supervisord]
nodaemon = true
logfile = {folder}/supervisord.log
pidfile = {folder}/supervisord.pid

[program:envoy]
command = {command}
killasgroup = true
stdout_logfile = {folder}/access.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 3
stderr_logfile = {folder}/envoy.log
"""


def answering_server(machinery: Machinery) -> Server:
    """Start an Envoy that answers every request itself."""
    (port,) = free_ports(1)
    filters = "type.googleapis.com/envoy.extensions.filters"
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "{}"}}}
    manager = {
        "@type": f"{filters}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "server",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{filters}.http.router.v3.Router"}}],
    }
    listener = {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    file = machinery.folder / "server.json"
    file.write_text(json.dumps({"static_resources": {"listeners": [listener]}}))
    url = f"http://127.0.0.1:{port}"
    server = machinery.start("server", envoy_command.command(str(file)), {"PATH": os.defpath}, url)
    machinery.await_ready(url, server)
    return server


def _door(machinery: Machinery, server: int, *, access_log: bool) -> Server:
    port, stats = free_ports(2)
    folder = machinery.folder / ("with" if access_log else "without")
    triton = Triton(http=loopback(server), grpc=loopback(server), metrics=loopback(server))
    options = Options(
        Upstreams(triton=triton, generation="1"),
        str(folder),
        listen=loopback(port),
        stats=loopback(stats),
        access_log=access_log,
    )
    keys = Keys(primary=KEY, secondary=KEY[::-1])
    envoy_folder.install(folder, envoy_files.render(options) | envoy_files.render_keys(keys))
    command = " ".join(envoy_command.command(f"{folder}/bootstrap.json"))
    configuration = folder / "supervisord.conf"
    configuration.write_text(_SUPERVISORD.format(folder=folder, command=command))
    words = [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)]
    door = machinery.start(folder.name, words, {"PATH": os.defpath}, f"http://127.0.0.1:{port}")
    machinery.await_ready(f"{door.url}/v2/health/ready", door, HEADERS)
    return door


def _measure(door: Server, body: Path, arguments: argparse.Namespace) -> dict[str, float]:
    request = load.Request(f"{door.url}{PATH}", body, HEADERS)
    before = door.cpu_seconds()
    done = load.run(request, concurrency=arguments.concurrency, seconds=arguments.seconds)
    if done.refused or done.broken or not done.requests:
        raise RuntimeError(f"{done.refused} refused, {done.broken} broken of {done.requests}; try more seconds")
    return {
        "processor time per request, us": 1e6 * (door.cpu_seconds() - before) / done.requests,
        "requests per second": done.requests / done.seconds,
        "p50, ms": done.p50_ms,
    }


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--concurrency", type=int, default=32)
    arguments = parser.parse_args()
    nothing: Any = None  # neither Triton nor a script runs
    unused: BuiltEnvironment = nothing
    with tempfile.TemporaryDirectory(dir=PROJECT / ".var") as temporary:
        folder = Path(temporary)
        body = folder / "body"
        body.write_bytes(BODY)
        with Machinery(folder, unused, Path()) as machinery:
            port = answering_server(machinery).port
            doors = {logged: _door(machinery, port, access_log=logged) for logged in (True, False)}
            found: list[tuple[dict[str, float], dict[str, float]]] = []
            for turn in range(-1, arguments.rounds):
                order = (True, False) if turn % 2 else (False, True)
                measured = {logged: _measure(doors[logged], body, arguments) for logged in order}
                if turn >= 0:  # the first one warms up
                    found.append((measured[True], measured[False]))
    for what in found[0][0]:
        ratios = [logged[what] / bare[what] for logged, bare in found]
        with_it, without = (statistics.median(pair[side][what] for pair in found) for side in (0, 1))
        print(
            f"{what}: {with_it:,.3g} with the access log, {without:,.3g} without; ratio "
            f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        )


if __name__ == "__main__":
    main()
