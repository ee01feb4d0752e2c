"""What the benchmarks' figures rest on."""

import os
import sys
import time
from pathlib import Path

import pytest

from benchmarks import command
from benchmarks.cores import Cores
from benchmarks.goals import (
    ASYNC,
    BARE_ENVOY,
    ENVOY_TRITON,
    OUR_WORKER,
    OURS,
    PEER,
    PEER_WORKER,
    SYNCHRONOUS,
    TRITON,
    UNBATCHED,
    goals,
)
from benchmarks.results import DENSENET, DIGITS, Results
from benchmarks.samples import Samples, table


def run(code: str, folder: Path, *, memory: bool = False) -> command.Measured:
    arguments = [sys.executable, "-c", code]
    return command.run(arguments, folder=folder, environment=os.environ, deadline=30, memory=memory)


def test_samples_show_their_median_and_whole_range() -> None:
    assert str(Samples((3.0, 1.0, 2.0))) == "2.00 (1.00 to 3.00)"
    assert str(Samples((12345.6,))) == "12,346"


def test_a_table_has_its_figures_to_the_right() -> None:
    assert table(["case", "s"], [["up", Samples((1.5,))]]) == "| case | s |\n|---|---:|\n| up | 1.50 |\n"


def test_a_commands_processor_time_has_its_childrens(tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    measured = run(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])", tmp_path)
    assert measured.cpu_seconds > 0.3
    assert measured.peak_mib == 0


def test_cores_are_busy_with_what_runs() -> None:
    cores = Cores()
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    busy = cores.busy()
    assert 100 / (2 * (os.cpu_count() or 1)) < busy <= 100


def test_a_commands_memory_has_its_childrens(tmp_path: Path) -> None:
    hold = "x = bytearray(b'1') * 64_000_000\nimport time; time.sleep(0.5)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])"
    assert run(code, tmp_path, memory=True).peak_mib > 60


def test_a_command_that_fails_is_no_sample(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with 3:\nwhy"):
        run("import sys; print('why'); sys.exit(3)", tmp_path)


def test_goals_compare_with_the_peer_and_triton_of_the_same_run() -> None:
    throughput = {TRITON: 100, ENVOY_TRITON: 80, BARE_ENVOY: 160, OURS: 30, ASYNC: 60, PEER: 10}
    throughput |= {f"{name}{UNBATCHED}": 50 for name in (TRITON, ENVOY_TRITON, ASYNC)}
    throughput |= {f"{server}: {script}": 30 for server in ("ours", "Azure's") for script in SYNCHRONOUS[1:]}
    slow = (DENSENET, f"ours: {SYNCHRONOUS[2]}", 8)
    samples = [
        {"model": model, "scenario": name, "concurrency": n, "throughput": each, "p50_ms": 1, "cpu_ms": 1}
        | {"p99_ms": 5 if (model, name, n) == slow else 2}
        for name, each in throughput.items()
        for model in (DIGITS, DENSENET)
        for n in (1, 8, 32)
    ]
    health = {"ours": [1.0, 40.0], "Envoy, ours": [51.0], "Azure's": [2700.0], "Envoy, Azure's": [2600.0]}
    rows = goals(Results({"samples": samples, "memory": {OUR_WORKER: 40, PEER_WORKER: 100}, "health": health}))
    standing = {str(what): (measured, met) for what, _, measured, met in rows}
    assert standing["synchronous script, 32 at once: throughput / the peer's"] == ("3.00", "met")
    assert standing["asynchronous script, 32 at once: throughput / Triton's"] == ("0.60", "met")
    assert standing["asynchronous script, the same, Triton not batching"] == ("1.00", "met")
    assert standing["asynchronous script, 32 at once: processor time a request / the peer's"] == ("1.00", "missed")
    worst = f"{DENSENET}, {SYNCHRONOUS[2]}, 8 at once, p99"
    assert standing[f"synchronous scripts: worst p50 or p99 of all / the peer's ({worst})"] == ("2.50", "missed")
    health_row = "`/` while the worker is in a run() of 3 s, slowest, directly or through Envoy, ms"
    assert standing[health_row] == ("51.00", "missed")
    assert standing["Envoy with keys, 32 at once: throughput / a bare Envoy's"] == ("0.50", "")
    assert standing["memory of one worker, MiB"] == ("40.00", "met")
