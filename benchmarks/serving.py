"""Measures what Triton with an entry script costs and gains: `make benchmark-serving`.

Every shape of service runs at once, each with one worker and one thread, and is loaded in turn by wrk; idle ones cost
nothing. Rounds are interleaved, in an order that changes from round to round.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks import anatomy, goals, health, load, machine, results, triton_client
from benchmarks.cores import Cores
from benchmarks.load import Request
from benchmarks.models import DENSENET, DIGITS, UNBATCHED, Model, write_repository
from benchmarks.servers import KEY, PROJECT, Machinery, Server, build_environment, build_peer

STATE = PROJECT / ".var"
REPORT = PROJECT / "benchmarks/reports/serving"
# DenseNet takes 60 ms of a core: 32 at once are two seconds of work in the queue, and more would only lengthen that.
CONCURRENCIES = {results.DIGITS: (1, 8, 32, 128), results.DENSENET: (1, 8, 32)}
LARGE_ROUNDS = 2
DISSECTED = (goals.TRITON, goals.ENVOY_TRITON, goals.OURS, goals.ASYNC)
ANALYZED = ((DIGITS, 1), (DIGITS, 8), (DIGITS, 32), (DIGITS, 128), (UNBATCHED, 32), (DENSENET, 1))
WARM_UP_SECONDS = 1
IDLE_SECONDS = 30.0


@dataclass(frozen=True)
class Scenario:
    """One row of the report: a request to a server, and whose processor time counts."""

    name: str
    model: str
    request: Request
    server: Server


def start(machinery: Machinery, folder: Path) -> list[Scenario]:
    """Start everything, and say what is to be measured."""
    repository = folder / "bundle" / "triton"
    write_repository(repository)
    triton = machinery.start_triton(repository, (DIGITS, UNBATCHED, DENSENET))
    scenarios = [
        _direct("Triton, JSON", triton, DIGITS, folder, binary=False),
        _direct("Triton, binary", triton, DIGITS, folder),
        _direct(f"{goals.TRITON}{goals.UNBATCHED}", triton, UNBATCHED, folder),
        _direct("Triton, JSON", triton, DENSENET, folder, binary=False),
        _direct("Triton, binary", triton, DENSENET, folder),
    ]
    for name, peer in (("ours", False), ("Azure's", True)):
        for model in (DIGITS, DENSENET):
            sync = machinery.start_script("score_triton.py", model, peer=peer)
            raw = machinery.start_script("score_triton_binary.py", model, peer=peer)
            local = machinery.start_script("score_local.py", model, peer=peer)
            scenarios += [
                _scored(f"{name}: script and Triton, JSON", sync, model, folder),
                _scored(f"{name}: script and Triton, binary", raw, model, folder, binary=True),
                _scored(f"{name}: scoring only, JSON", local, model, folder),
            ]
            if not peer and model is DIGITS:
                front = machinery.start_envoy(sync)
    bare = machinery.start_bare_envoy()
    for model, of_model in ((DIGITS, ""), (UNBATCHED, goals.UNBATCHED), (DENSENET, "")):
        asynchronous = machinery.start_script("score_triton_async.py", model)
        scenarios += [
            _scored(f"{goals.ASYNC}{of_model}", asynchronous, model, folder),
            _direct(f"{goals.ENVOY_TRITON}{of_model}", front, model, folder, key=KEY),
        ]
    static = _request(f"{bare.url}/static", DIGITS.scoring_json(), {}, folder, "")
    return [
        *scenarios,
        _direct(goals.BARE_ENVOY, bare, DIGITS, folder),
        _scored("Envoy, ours: script and Triton, JSON", front, DIGITS, folder, key=KEY),
        Scenario(results.STATIC, results.DIGITS, static, bare),
    ]


def measure_health(machinery: Machinery) -> dict[str, list[float]]:
    """Milliseconds of `/` while the only worker is busy, of both servers, asked directly and through the front door."""
    found = {}
    for name, peer in (("ours", False), ("Azure's", True)):
        server = machinery.start_script("score_busy.py", DIGITS, peer=peer)
        front = machinery.start_envoy(server)
        found[name] = health.measure(server.url, {})
        found[f"Envoy, {name}"] = health.measure(front.url, {"Authorization": f"Bearer {KEY}"})
    return found


def _direct(name: str, server: Server, model: Model, folder: Path, *, binary: bool = True, key: str = "") -> Scenario:
    """Inference by Triton's own protocol."""
    body, headers = model.triton_binary() if binary else (model.triton_json(), {"Content-Type": "application/json"})
    path = f"{server.url}/v2/models/{model.name}/infer"
    return Scenario(name, _group(model), _request(path, body, headers, folder, key), server)


def _scored(name: str, server: Server, model: Model, folder: Path, *, binary: bool = False, key: str = "") -> Scenario:
    """A request to the entry script."""
    body = model.scoring_binary() if binary else model.scoring_json()
    headers = {"Content-Type": "application/octet-stream" if binary else "application/json"}
    return Scenario(name, _group(model), _request(f"{server.url}/score", body, headers, folder, key), server)


def _group(model: Model) -> str:
    return results.DENSENET if model is DENSENET else results.DIGITS


def _request(url: str, body: bytes, headers: Mapping[str, str], folder: Path, key: str) -> Request:
    file = folder / f"body-{len(body)}-{abs(hash(body))}"
    file.write_bytes(body)
    return Request(url, file, {**headers, **({"Authorization": f"Bearer {key}"} if key else {})})


def check(scenario: Scenario) -> None:
    """Ask once. Raises RuntimeError unless the answer is 200."""
    request = scenario.request
    answer = httpx.post(request.url, content=request.body.read_bytes(), headers=request.headers, timeout=60)
    if answer.status_code != 200:
        raise RuntimeError(f"{scenario.name}, {scenario.model}: answered {answer.status_code}: {answer.text[:300]}")


def measure(
    scenario: Scenario, concurrency: int, seconds: int, servers: Sequence[Server], *, warm_up: bool
) -> dict[str, Any]:
    """One sample; what wrk leaves behind when it hangs up is worked off before the next."""
    triton = next(server for server in servers if server.name == "triton")
    if warm_up:
        load.run(scenario.request, concurrency=concurrency, seconds=WARM_UP_SECONDS)
    before, before_triton, cores = scenario.server.cpu_seconds(), triton.cpu_seconds(), Cores()
    found = load.run(scenario.request, concurrency=concurrency, seconds=seconds)
    spent, spent_triton = scenario.server.cpu_seconds() - before, triton.cpu_seconds() - before_triton
    busy = cores.busy()
    _await_idle(servers)
    return {
        "scenario": scenario.name,
        "model": scenario.model,
        "concurrency": concurrency,
        "throughput": found.requests / found.seconds,
        "cpu_ms": 1000 * spent / max(1, found.requests),
        "triton_cpu_ms": 1000 * spent_triton / max(1, found.requests),
        "busy_percent": busy,
        "generator_ms": 1000 * found.generator_seconds / max(1, found.requests),
        **asdict(found),
    }


def _await_idle(servers: Sequence[Server]) -> None:
    deadline = time.monotonic() + IDLE_SECONDS
    while time.monotonic() < deadline:
        before = sum(server.cpu_seconds() for server in servers)
        time.sleep(0.2)
        if sum(server.cpu_seconds() for server in servers) - before < 0.05:
            return


def run(rounds: int, seconds: int, large_seconds: int, tools: Path) -> Iterator[dict[str, Any]]:
    """What was found after each round, as `serving_report` reads it."""
    load_before = machine.load()
    ours = build_environment(STATE)
    peer = build_peer(STATE, ours)
    with tempfile.TemporaryDirectory(prefix="bench-") as name, Machinery(Path(name), ours, peer) as machinery:
        scenarios = start(machinery, Path(name))
        servers = list({each.server.name: each.server for each in scenarios}.values())
        for scenario in scenarios:
            check(scenario)
        triton = next(server for server in servers if server.name == "triton")
        found: dict[str, Any] = {
            "machine": machine.describe(),
            "load": load_before,
            "seconds": seconds,
            "large_seconds": large_seconds,
            "samples": [],
            "perf_analyzer": [],
        }
        for number in range(rounds):
            # Fewer rounds of the large model: it takes long, and its spread is small.
            has_large = number >= rounds - LARGE_ROUNDS
            chosen = [each for each in scenarios if has_large or each.model == results.DIGITS]
            order = [(each, concurrency) for each in chosen for concurrency in CONCURRENCIES[each.model]]
            random.Random(number).shuffle(order)
            started = time.monotonic()
            for scenario, concurrency in sorted(order, key=lambda each: each[0].model != results.DIGITS):
                length = seconds if scenario.model == results.DIGITS else large_seconds
                found["samples"].append(measure(scenario, concurrency, length, servers, warm_up=number == 0))
            print(f"round {number + 1} of {rounds}: {time.monotonic() - started:.0f} s", flush=True)
            found["rounds"] = number + 1
            found["memory"] = {server.name: server.worker_mib() for server in servers}
            yield found
        found["anatomy"] = [
            anatomy.measure(each.name, each.request, each.server, triton, DIGITS.name, at_once, seconds)
            for each in scenarios
            if each.model == results.DIGITS and each.name in DISSECTED
            for at_once in (1, 32)
        ]
        found["health"] = measure_health(machinery)
        analyzed = [triton_client.measure(tools, triton.url, model.name, n, Path(name)) for model, n in ANALYZED]
        found["perf_analyzer"] = [each for each in analyzed if each]
        yield found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the samples; gives an exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the small model (3)")
    parser.add_argument("--seconds", type=int, default=3, help="of load for each sample of the small model (3)")
    parser.add_argument("--large-seconds", type=int, default=4, help="the same for the large one (4)")
    parser.add_argument("--tools", type=Path, default=STATE / "benchmarks/venv/bin/python", help=argparse.SUPPRESS)
    parser.add_argument("--report", type=Path, default=REPORT, help="folder of the report")
    options = parser.parse_args(arguments)
    options.report.mkdir(parents=True, exist_ok=True)
    for found in run(options.rounds, options.seconds, options.large_seconds, options.tools):
        (options.report / "samples.json").write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
