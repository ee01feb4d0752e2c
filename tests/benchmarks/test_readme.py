"""The number on README's first screen is the one that the benchmark measured."""

import json
from pathlib import Path

from benchmarks.goals import OURS, PEER
from benchmarks.results import DIGITS, Results

PROJECT = Path(__file__).resolve().parents[2]


def test_readme_states_what_the_report_measured() -> None:
    results = Results(json.loads((PROJECT / "benchmarks" / "reports" / "serving" / "samples.json").read_text()))
    ours, peers = (results.of(DIGITS, row, 32, "throughput").median for row in (OURS, PEER))
    stated = " ".join((PROJECT / "README.md").read_text(encoding="utf-8").split())
    assert f"[{ours / peers:.1f} times]" in stated
    assert f"{ours:,.0f} a second, not {peers:,.0f}" in stated
