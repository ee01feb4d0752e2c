"""The recorder as a process, for tests: what it wrote, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from targets.machine.ports import free_ports
from tests.waiting import NOBODY_ANSWERS, eventually

PROJECT = Path(__file__).resolve().parents[1]


@dataclass
class Recorder:
    """A running recorder, its port and the folder of COLLECT_URL."""

    process: subprocess.Popen[bytes]
    port: int
    collected: Path
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def counts(self) -> dict[str, int]:
        found: dict[str, int] = httpx.get(self.url).json()
        return found

    def files(self) -> list[Path]:
        return sorted(path for path in self.collected.glob("requests/web/date=*/*.jsonl"))

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for file in self.files() for line in file.read_text().splitlines()]

    def await_records(self, number: int) -> list[dict[str, Any]]:
        eventually(lambda: len(self.records()) >= number, f"{number} records")
        return self.records()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(20)


@contextmanager
def recorder(folder: Path, *, megabytes: int = 100, code: str = "", **variables: str) -> Iterator[Recorder]:
    """Run a recorder that writes each second; `code` runs first, in its process."""
    folder.mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    collected, log = folder / "collected", folder / "recorder.log"
    start = f"{code}\nimport runpy, sys; runpy.run_module('serving.recording', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", start, "--port", str(port), "--megabytes", str(megabytes)]
    given = {"COLLECT_URL": str(collected), "COLLECT_SECONDS": "1", "SERVICE_NAME": "web", **variables}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=PROJECT, env={"PATH": os.defpath, **given}, stdout=output, stderr=output
        )
    try:
        started = Recorder(process, port, collected, log)
        eventually(lambda: process.poll() is not None or started.counts, ignoring=NOBODY_ANSWERS)
        yield started
    finally:
        process.kill()
        process.wait()
