"""What the benchmarks' figures rest on."""

import os
import sys
import time
from pathlib import Path

import pytest

from benchmarks import command
from benchmarks.cores import Cores
from benchmarks.goals import ASYNC, BARE_ENVOY, ENVOY_TRITON, OUR_WORKER, OURS, PEER, PEER_WORKER, TRITON, goals
from benchmarks.results import DIGITS, Results
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
    samples = [
        {"model": DIGITS, "scenario": name, "concurrency": n, "throughput": each, "p50_ms": 1, "p99_ms": 2, "cpu_ms": 1}
        for name, each in throughput.items()
        for n in (1, 8, 32)
    ]
    rows = goals(Results({"samples": samples, "memory": {OUR_WORKER: 40, PEER_WORKER: 100}}))
    standing = {str(what): (measured, met) for what, _, measured, met in rows}
    assert standing["synchronous script, 32 at once: throughput / the peer's"] == ("3.00", "met")
    assert standing["asynchronous script, 32 at once: throughput / Triton's"] == ("0.60", "met")
    assert standing["asynchronous script: processor time a request / the peer's"] == ("1.00", "missed")
    assert standing["Envoy with keys, 32 at once: throughput / a bare Envoy's"] == ("0.50", "")
    assert standing["memory of one worker, MiB"] == ("40.00", "met")
