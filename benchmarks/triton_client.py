"""NVIDIA's `perf_analyzer`, the measure of Triton itself; the binary is in the wheel `tritonclient==2.51.0`."""

from __future__ import annotations

import csv
import os
import subprocess
from pathlib import Path
from typing import Any

__all__ = ["measure"]


def measure(python: Path, url: str, model: str, concurrency: int, folder: Path) -> dict[str, Any] | None:
    """Throughput and latencies of one model at one concurrency; None where `perf_analyzer` does not run here.

    `python` is the one of the environment that `requirements.txt` describes.
    """
    binary = python.with_name("perf_analyzer")
    libraries = list(python.parents[1].glob("lib/python3*/site-packages/nvidia/cuda_runtime/lib"))
    if not binary.exists() or not libraries:
        return None
    report = folder / "perf_analyzer.csv"
    command = [
        str(binary), "-m", model, "-u", url.removeprefix("http://"), "-f", str(report),
        "--concurrency-range", f"{concurrency}", "--measurement-interval", "3000", "--max-trials", "3",
        "--stability-percentage", "999",
    ]  # fmt: skip
    done = subprocess.run(
        command, env={**os.environ, "LD_LIBRARY_PATH": str(libraries[0])}, capture_output=True, text=True, timeout=120
    )
    if done.returncode != 0:
        print(f"perf_analyzer did not run: {done.stderr.strip() or done.stdout.strip()}")
        return None
    with report.open(newline="") as rows:
        row = next(csv.DictReader(rows))
    return {
        "model": model,
        "concurrency": concurrency,
        "throughput": float(row["Inferences/Second"]),
        "p50_ms": float(row["p50 latency"]) / 1e3,
        "p99_ms": float(row["p99 latency"]) / 1e3,
    }
