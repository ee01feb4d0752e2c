"""Measures the embedded engine, beside Pulumi's CLI where that is on PATH: `make benchmark-engine`.

Rounds are interleaved: in each, every engine runs every case once, in an order that alternates, so that whatever else
the machine does falls on both. A round starts from nothing: an empty backend and PULUMI_HOME, no compiled Python.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import command, machine
from benchmarks.command import Measured

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv" / "bin" / "python"
LARGE = 1000  # resources
DEADLINE = 600.0  # seconds for one command

LOCAL = "up of the stack `local`, no change"
UP = ("up", "--stack", "bench", "--yes")
# Each builds on the one before it: a stack that is not there yet, made, and found unchanged.
CASES: dict[str, tuple[str, ...]] = {
    "first preview, cold": ("preview", "--stack", "bench"),
    "first preview": ("preview", "--stack", "bench"),
    "first up": (*UP, "--skip-preview"),
    "preview, no change": ("preview", "--stack", "bench"),
    "up, no change": UP,
    "up without its preview, no change": (*UP, "--skip-preview"),
}


@dataclass(frozen=True)
class Engine:
    """What is measured: its name in the report, and how it is called."""

    name: str
    call: tuple[str, ...]

    def version(self) -> str:
        """Ask the engine for its version."""
        answer = subprocess.run(
            [*self.call, "version"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
        )
        return answer.stdout.strip()


def engines() -> list[Engine]:
    """The embedded engine, and Pulumi's CLI where it is on PATH."""
    cli = shutil.which("pulumi")
    return [Engine("embedded", (str(PYTHON), "-m", "engine")), *([Engine("CLI", (cli,))] if cli else [])]


def run_round(engine: Engine, count: int, *, memory: bool) -> dict[str, Measured]:
    """Every case once, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        project = folder / "project"
        shutil.copytree(ROOT / "benchmarks" / "counted", project, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "backend").mkdir()
        environment = _environment(folder / "home") | {
            "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
            "PULUMI_BACKEND_URL": f"file://{folder}/backend",
            "PULUMI_CONFIG_PASSPHRASE": "benchmark",
        }

        def call(*arguments: str, memory: bool = False) -> Measured:
            return command.run(
                [*engine.call, *arguments], folder=project, environment=environment, deadline=DEADLINE, memory=memory
            )

        call("stack", "init", "bench")
        call("config", "set", "--stack", "bench", "count", str(count))
        shutil.rmtree(folder / "bytecode", ignore_errors=True)
        return {case: call(*arguments, memory=memory) for case, arguments in CASES.items()}


def run_local(engine: Engine, project: Path, *, memory: bool) -> dict[str, Any] | None:
    """`up` of the stack `local` where it is up and unchanged; None where it is not."""
    state = project / ".var"
    checkpoint = state / "backend/.pulumi/stacks/triton-serving/local.json"
    resources = (
        json.loads(checkpoint.read_text())["checkpoint"]["latest"].get("resources") if checkpoint.exists() else None
    )
    if not resources:
        return None
    environment = _environment(state / "benchmarks/home") | {
        "PULUMI_BACKEND_URL": f"file://{state}/backend",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(state / "passphrase"),
    }
    call = [*engine.call, "up", "--stack", "local", "--yes", "--expect-no-changes"]
    measured = command.run(call, folder=project, environment=environment, deadline=DEADLINE, memory=memory)
    count = sum(not each["type"].startswith("pulumi:providers:") for each in resources)
    return {"case": LOCAL, "resources": count, **asdict(measured)}


def _environment(home: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "PYTHON"))}
    return kept | {
        "PATH": f"{PYTHON.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PULUMI_HOME": str(home),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }


def measure(counts: Sequence[int], rounds: int, large_rounds: int, project: Path) -> Iterator[dict[str, Any]]:
    """What was found after each round, the last of them for memory only, as `engine_report` reads it."""
    versions = {engine.name: engine.version() for engine in engines()}
    found: dict[str, Any] = {"machine": machine.describe(), "load": machine.load(), "versions": versions}
    samples: list[dict[str, Any]] = []
    for number in range(rounds + 1):
        memory = number == rounds
        order = engines() if number % 2 == 0 else engines()[::-1]
        for engine in order:
            if local := run_local(engine, project, memory=memory):
                samples.append({"engine": engine.name, "memory": memory} | local)
        for count in counts:
            if count >= LARGE and large_rounds <= number < rounds:
                continue
            for engine in order:
                print(f"round {number + 1} of {rounds + 1}, {count} resources, {engine.name}", flush=True)
                for case, measured in run_round(engine, count, memory=memory).items():
                    row = {"engine": engine.name, "case": case, "resources": count, "memory": memory}
                    samples.append(row | asdict(measured))
        yield found | {"samples": samples}


def main() -> int:
    """Measure and write the samples; gives an exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds; one for memory follows (5)")
    parser.add_argument("--large-rounds", type=int, default=3, help=f"the same from {LARGE:,} resources on (3)")
    parser.add_argument("--counts", type=int, nargs="+", default=[10, 100, 1000], help="sizes of the program")
    parser.add_argument(
        "--project", type=Path, default=ROOT, help="the project whose stack `local` is measured if it is up"
    )
    parser.add_argument("--report", type=Path, default=ROOT / "benchmarks/reports/engine", help="folder of the report")
    options = parser.parse_args()
    options.report.mkdir(parents=True, exist_ok=True)
    for found in measure(options.counts, options.rounds, options.large_rounds, options.project):
        (options.report / "samples.json").write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
