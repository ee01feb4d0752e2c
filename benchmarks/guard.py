"""What the front door's guard costs: Triton's throughput behind an Envoy with it and one without, in turns.

    .venv/bin/python -m benchmarks.guard --rounds 5 --seconds 4

Prints for each kind of body the median of the rounds' ratios, with their range, and what the guard adds to the
processor time that Triton and Envoy take for a request: that decides the throughput where all cores are busy, and other
work on the machine disturbs it less. The limit is 3 %.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from benchmarks import load
from benchmarks.models import DENSENET, DIGITS, Model
from benchmarks.servers import Machinery, Server, build_environment
from gateway import envoy_command, envoy_files, envoy_folder
from gateway.front_door_options import Options, Triton, Upstreams, loopback
from gateway.request_guard import GUARD
from gateway.routes import GUNZIP
from targets.machine.ports import free_ports

PROJECT = Path(__file__).resolve().parents[1]
VALUES = 20_000


def _identity(folder: Path) -> Model:
    """A model that computes nothing: all that its requests cost is their way."""
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", VALUES]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", tensors[:1], tensors[1:])
    file = folder / "identity.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    return Model("identity", file, "x", (1, VALUES), "y")


def _door(machinery: Machinery, *, guarded: bool) -> Server:
    port, stats, grpc, metrics = free_ports(4)
    triton = Triton(http=loopback(machinery.triton_port), grpc=loopback(grpc), metrics=loopback(metrics))
    name = f"door-{'guarded' if guarded else 'bare'}"
    options = Options(
        Upstreams(triton=triton),
        str(machinery.folder / name),
        listen=loopback(port),
        stats=loopback(stats),
        auth_enabled=False,
    )
    rendered = envoy_files.render(options)
    if not guarded:
        rendered = {file: _without_guard(text) for file, text in rendered.items()}
    envoy_folder.install(Path(options.directory), rendered)
    return machinery.start(
        name,
        envoy_command.command(f"{options.directory}/bootstrap.json"),
        {"PATH": os.defpath},
        f"http://127.0.0.1:{port}",
    )


def _without_guard(text: str) -> str:
    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: strip(inner) for key, inner in value.items() if key not in (GUARD, GUNZIP)}
        if isinstance(value, list):
            return [
                strip(inner)
                for inner in value
                if not (isinstance(inner, dict) and inner.get("name") in (GUARD, GUNZIP))
            ]
        return value

    return json.dumps(strip(json.loads(text)))


def _bodies(folder: Path, models: list[Model]) -> Iterator[tuple[str, Model, Path, dict[str, str]]]:
    for model in models:
        binary, headers = model.triton_binary()
        for kind, content, extra in (("JSON", model.triton_json(), {}), ("binary", binary, headers)):
            file = folder / f"{model.name}.{kind}"
            file.write_bytes(content)
            yield f"{model.name}, {kind}, {len(content):,} bytes", model, file, extra


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--models", nargs="+", default=["digits", "identity", "densenet"])
    arguments = parser.parse_args()
    environment = build_environment(PROJECT / ".var")
    with tempfile.TemporaryDirectory(dir=PROJECT / ".var") as temporary:
        folder = Path(temporary)
        models = [model for model in (DIGITS, _identity(folder), DENSENET) if model.name in arguments.models]
        for model in models:
            version = folder / "triton" / model.name / "1"
            version.mkdir(parents=True)
            shutil.copy(model.file, version / "model.onnx")
        with Machinery(folder, environment, Path()) as machinery:
            triton = machinery.start_triton(folder / "triton", models)
            doors = {True: _door(machinery, guarded=True), False: _door(machinery, guarded=False)}
            for server in doors.values():
                machinery.await_ready(f"{server.url}/v2/health/ready", server)
            for name, model, body, headers in _bodies(folder, models):
                ratios, rates, costs = [], [], []
                for turn in range(arguments.rounds):
                    rate, cost = {}, {}
                    for guarded in (True, False) if turn % 2 else (False, True):
                        before = triton.cpu_seconds() + doors[guarded].cpu_seconds()
                        request = load.Request(f"{doors[guarded].url}/v2/models/{model.name}/infer", body, headers)
                        done = load.run(request, concurrency=arguments.concurrency, seconds=arguments.seconds)
                        if done.refused or done.broken or not done.requests:
                            raise RuntimeError(
                                f"{name}: {done.refused} refused, {done.broken} broken; try more seconds"
                            )
                        rate[guarded] = done.requests / done.seconds
                        after = triton.cpu_seconds() + doors[guarded].cpu_seconds()
                        cost[guarded] = (after - before) / done.requests
                    ratios.append(rate[True] / rate[False])
                    rates.append(rate[True])
                    costs.append((cost[True], cost[False]))
                with_guard, without = (statistics.median(column) for column in zip(*costs, strict=True))
                print(
                    f"{name}: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}), "
                    f"{statistics.median(rates):,.0f} requests/s with the guard, "
                    f"processor time per request {1e6 * without:,.0f} us, {with_guard / without - 1:+.1%} with it",
                    flush=True,
                )


if __name__ == "__main__":
    main()
