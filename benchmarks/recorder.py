"""What the recorder costs: a front door that copies a sample of its requests and one that does not, in turns.

    .venv/bin/python -m benchmarks.recorder --rounds 9 --seconds 4

Both doors are before one Triton with the model `digits`, and with `--at-once` before a server that answers at once. The
recorder writes to a folder. Prints throughput, p50 and processor time: medians, and the medians of the rounds'
differences and ratios with their range.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from benchmarks import load
from benchmarks.access_log import answering_server
from benchmarks.models import DIGITS, write_repository
from benchmarks.servers import KEY, PROJECT, Machinery, Server, build_environment
from gateway import envoy_command, envoy_files, envoy_folder
from gateway.front_door_options import Options, Triton, Upstreams, loopback
from gateway.keys import Keys
from targets.commands import recorder_command
from targets.machine.ports import free_ports

HEADERS = {"Authorization": f"Bearer {KEY}"}
MEGABYTES = 100

Round = dict[str, float]


def _recorder(machinery: Machinery) -> Server:
    (port,) = free_ports(1)
    python = str(machinery.ours.path / "bin" / "python")
    variables = {"PATH": os.defpath, "COLLECT_URL": str(machinery.folder / "collected"), "SERVICE_NAME": "benchmark"}
    url = f"http://127.0.0.1:{port}"
    command = recorder_command(MEGABYTES, python=python, host="127.0.0.1", port=port)
    server = machinery.start("recorder", command, variables, url)
    machinery.await_ready(url, server)
    return server


def _door(machinery: Machinery, triton: int, recorder: int, sample: float) -> Server:
    port, stats = free_ports(2)
    folder = machinery.folder / f"door-{sample:g}"
    servers = Triton(http=loopback(triton), grpc=loopback(triton), metrics=loopback(triton))
    options = Options(
        Upstreams(triton=servers, recorder=loopback(recorder), generation="1"),
        str(folder),
        listen=loopback(port),
        stats=loopback(stats),
        recorded=sample,
    )
    keys = Keys(primary=KEY, secondary=KEY[::-1])
    envoy_folder.install(folder, envoy_files.render(options) | envoy_files.render_keys(keys))
    command = envoy_command.command(f"{folder}/bootstrap.json")
    door = machinery.start(folder.name, command, {"PATH": os.defpath}, f"http://127.0.0.1:{port}")
    machinery.await_ready(f"{door.url}/v2/health/ready", door, HEADERS)
    return door


def _measure(door: Server, recorder: Server, triton: Server, body: Path, arguments: argparse.Namespace) -> Round:
    request = load.Request(f"{door.url}/v2/models/{DIGITS.name}/infer", body, HEADERS)
    parts = {"the front door": door, "the recorder": recorder, "the model server": triton}
    before = {name: part.cpu_seconds() for name, part in parts.items()}
    done = load.run(request, concurrency=arguments.concurrency, seconds=arguments.seconds)
    if done.refused or done.broken or not done.requests:
        raise RuntimeError(f"{done.refused} refused, {done.broken} broken of {done.requests}; try more seconds")
    taken = {name: 1e6 * (part.cpu_seconds() - before[name]) / done.requests for name, part in parts.items()}
    return {
        "requests per second": done.requests / done.seconds,
        "p50, ms": done.p50_ms,
        "processor time of all per request, us": sum(taken.values()),
        **{f"processor time of {name} per request, us": time for name, time in taken.items()},
    }


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--sample", type=float, default=0.1)
    parser.add_argument("--at-once", action="store_true", help="before a server that answers at once")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=PROJECT / ".var") as temporary:
        folder = Path(temporary)
        body = folder / "body"
        body.write_bytes(DIGITS.triton_json())
        with Machinery(folder, build_environment(PROJECT / ".var"), Path()) as machinery:
            if arguments.at_once:
                triton = answering_server(machinery)
            else:
                write_repository(folder / "triton")
                triton = machinery.start_triton(folder / "triton", [DIGITS])
            recorder = _recorder(machinery)
            ports = triton.port, recorder.port
            doors = {sample: _door(machinery, *ports, sample) for sample in (arguments.sample, 0.0)}
            found: list[tuple[Round, Round]] = []
            for turn in range(-1, arguments.rounds):
                order = list(doors) if turn % 2 else list(doors)[::-1]
                measured = {sample: _measure(doors[sample], recorder, triton, body, arguments) for sample in order}
                if turn >= 0:  # the first one warms up
                    found.append((measured[arguments.sample], measured[0.0]))
    for what in found[0][0]:
        with_it, without = (statistics.median(pair[side][what] for pair in found) for side in (0, 1))
        apart = [recorded[what] - bare[what] for recorded, bare in found]
        print(
            f"{what}: {with_it:,.4g} with the recorder, {without:,.4g} without; difference "
            f"{statistics.median(apart):,.3g} ({min(apart):,.3g} to {max(apart):,.3g})",
            end="",
        )
        if without and "of the recorder" not in what:
            ratios = [recorded[what] / bare[what] for recorded, bare in found]
            print(f"; ratio {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})", end="")
        print()


if __name__ == "__main__":
    main()
