"""Where the time of one request goes: from the entry script server's metrics, Triton's statistics and the kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx

from benchmarks import load
from benchmarks.load import Request
from benchmarks.servers import Server

__all__ = ["measure"]


def measure(name: str, request: Request, server: Server, triton: Server, model: str, at_once: int, seconds: int) -> Any:
    """Milliseconds of one request, on average: `results.PARTS`, and processor time in user space and the kernel."""
    before, spent = _times(server, triton, model), _split(server, triton)
    found = load.run(request, concurrency=at_once, seconds=seconds)
    count = max(1, found.requests)
    times = {key: 1000 * (value - before[key]) / count for key, value in _times(server, triton, model).items()}
    shares = [1000 * (after - earlier) / count for after, earlier in zip(_split(server, triton), spent, strict=True)]
    whole = 1000 * found.seconds * at_once / count
    has_script = times["request"] > 0
    inside = times["queue"] + times["model"]
    return {
        "scenario": name,
        "concurrency": at_once,
        "whole_ms": whole,
        "outside_ms": whole - (times["request"] if has_script else inside),
        "server_ms": times["request"] - times["run"],
        "script_ms": times["run"] - times["triton"],
        "client_ms": times["triton"] - inside if has_script else 0.0,
        "queue_ms": times["queue"],
        "model_ms": times["model"],
        "cpu_ms": dict(zip(("user", "kernel", "triton_user", "triton_kernel"), shares, strict=True)),
    }


def _split(*servers: Server) -> Sequence[float]:
    """Of the server, then of Triton; the former is zero where both are one."""
    own, triton = servers
    return [*((0.0, 0.0) if own == triton else own.cpu_split()), *triton.cpu_split()]


def _times(server: Server, triton: Server, model: str) -> dict[str, float]:
    """Seconds spent so far in each stage, of all requests together."""
    statistics = httpx.get(f"{triton.url}/v2/models/{model}/stats", timeout=10).json()["model_stats"][0]
    stages = statistics["inference_stats"]
    compute = sum(stages[f"compute_{stage}"]["ns"] for stage in ("input", "infer", "output"))
    metrics = _metrics(server) if server.name.startswith("ours-") else {}
    sums = {name: metrics.get(f"serving_{name}_seconds_sum", 0.0) for name in ("request", "run", "triton")}
    return {**sums, "queue": stages["queue"]["ns"] / 1e9, "model": compute / 1e9}


def _metrics(server: Server) -> dict[str, float]:
    lines = httpx.get(f"{server.url}/metrics", timeout=10).text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}
