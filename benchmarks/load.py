"""The load: wrk, closed loop, each connection with one request under way."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Load", "Request", "run"]

SCRIPT = Path(__file__).with_name("load.lua")
TIMEOUT_SECONDS = 60  # of one request


@dataclass(frozen=True)
class Request:
    """What is posted: a URL, the file that holds the body, and headers."""

    url: str
    body: Path
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Load:
    """What came of a load.

    It has the requests answered, seconds, latencies, answers other than 2xx, broken connections, and the processor time
    of wrk itself.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int
    generator_seconds: float


def run(request: Request, *, concurrency: int, seconds: int) -> Load:
    """Load a server for some seconds. Raises RuntimeError when wrk is missing or fails."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise RuntimeError("wrk is not on PATH; install it (Debian, Ubuntu: apt-get install wrk)")
    before = _children_seconds()
    done = subprocess.run(
        [
            wrk,
            "-t1",
            f"-c{concurrency}",
            f"-d{seconds}s",
            f"--timeout={TIMEOUT_SECONDS}s",
            f"-s{SCRIPT}",
            request.url,
        ],
        env={
            **os.environ,
            "BODY": str(request.body),
            "HEADERS": "\n".join(f"{name}: {value}" for name, value in request.headers.items()),
        },
        capture_output=True,
        text=True,
        timeout=seconds + TIMEOUT_SECONDS + 30,
    )
    last = done.stdout.rstrip().rpartition("\n")[2]
    if done.returncode != 0 or not last.startswith("{"):
        raise RuntimeError(f"wrk failed on {request.url}: {done.stderr.strip() or done.stdout.strip()}")
    return Load(**json.loads(last), generator_seconds=_children_seconds() - before)


def _children_seconds() -> float:
    """Processor time of the commands that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
