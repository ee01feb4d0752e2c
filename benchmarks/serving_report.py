"""Writes the servers' report from its samples: goals, tables in Markdown and plots."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.goals import ASYNC, OURS, PEER, bounds, goals
from benchmarks.results import DENSENET, DIGITS, LOCAL, PARTS, TRITON_JSON, Results
from benchmarks.samples import Samples, table
from benchmarks.serving_plots import QUESTIONS, SCRIPT, Question, plot

FOLDER = Path(__file__).parent / "reports" / "serving"
MEASURES = {"throughput": "Throughput, requests/s", "p50_ms": "p50, ms", "p99_ms": "p99, ms"}
SPENT = {
    "cpu_ms": "Processor time of the server itself for each request, in ms",
    "triton_cpu_ms": "Processor time of Triton meanwhile for each request, in ms",
    "generator_ms": "Processor time of the load generator for each request, in ms",
    "busy_percent": "All cores' busy share, the load generator's part included, in percent",
}


def text(results: Results) -> str:
    """The report in Markdown; the plots lie beside it."""
    found = results.found
    parts = [
        "# Serving, measured\n",
        " ".join(_first_screen(results)) + "\n",
        _image(SCRIPT, DIGITS),
        "## How it was measured\n",
        f"{found['machine']} Servers and load generator (wrk, closed loop, one thread) share the cores: ratios carry "
        "over to other machines, figures do not. One worker, one thread of computation, one Envoy thread. "
        f"{DIGITS}: {found['rounds']} interleaved rounds of {found['seconds']} s; figures are medians with the lowest "
        f"and the highest in parentheses. {DENSENET}: at most two rounds of {found['large_seconds']} s, up to 32 at "
        "once: each inference takes 60 ms of a core, and more would only wait longer. Every answer was a 200 but for "
        "what the notes say. The last row shows what the load generator can do at least.\n",
        machine.busy(found["load"]),
        "## Goals\n",
        table(["against the peer or Triton in the same run", "goal", "measured", ""], goals(results)),
        *bounds(results),
        "## Where the time of one request goes\n",
        _anatomy(found.get("anatomy", [])),
    ]
    for model in (DIGITS, DENSENET):
        shown = [_image(question, model) for question in QUESTIONS[model] if (question, model) != (SCRIPT, DIGITS)]
        parts += [f"## {model}\n", *shown]
        for field, title in MEASURES.items():
            head = [title, *(f"{n} at once" for n in results.concurrencies(model))]
            parts += [table(head, _rows(results, model, field))]
        head = ["", *(f"{n} at once" for n in results.concurrencies(model))]
        for field, title in SPENT.items():
            parts += [f"{title}:\n", table(head, _rows(results, model, field))]
    parts += ["## Triton by `perf_analyzer`\n", _analyzed(found["perf_analyzer"])]
    parts += [
        "## Memory\n",
        "Proportional set size of each server's largest process after the load, in MiB. With DenseNet's "
        "tensors (600 kB each in binary, several times that in JSON), what a server of ours holds grows with the "
        "requests that it has at once, up to 32 here; the peer reads one request at a time.\n",
    ]
    parts += [table(["server", "MiB"], [[name, f"{mib:.0f}"] for name, mib in sorted(found["memory"].items())])]
    notes = list(_notes(results))
    return "\n".join([*parts, *(["## Notes\n", *notes, ""] if notes else [])])


def _first_screen(results: Results) -> Iterator[str]:
    """Say in three sentences what an entry script gains and costs."""

    def answered(row: str, model: str = DIGITS) -> float:
        return results.of(model, row, 32, "throughput").median

    plain, quick, peer, alone = (answered(row) for row in (OURS, ASYNC, PEER, TRITON_JSON))
    yield (
        f"With Triton behind it, one worker of the entry script server answers {plain:,.0f} requests/s with a plain "
        f"script and {quick:,.0f} with an asynchronous one; Azure's server with the same plain script answers "
        f"{peer:,.0f}, so that is {plain / peer:.1f} and {quick / peer:.1f} times as many "
        f"({DIGITS}, JSON, 32 requests at once)."
    )
    yield (
        f"The script has its cost: Triton alone answers {alone:,.0f}, of which {plain / alone:.0%} and "
        f"{quick / alone:.0%} are left."
    )
    yield (
        f"A script that runs so small a model itself is faster still, {answered(LOCAL):,.0f}; with {DENSENET}, where "
        "an inference takes 60 ms of a core, Triton behind the script answers "
        f"{answered(OURS, DENSENET):.0f} requests/s and the script alone {answered(LOCAL, DENSENET):.0f}, for Triton "
        "computes on all cores."
    )


def _image(question: Question, model: str) -> str:
    return f"![{question.asks}]({question.file(model)})\n"


def _rows(results: Results, model: str, field: str) -> Iterator[Sequence[object]]:
    for name in results.scenarios(model):
        yield [name, *(results.of(model, name, n, field) for n in results.concurrencies(model))]


def _anatomy(rows: Sequence[dict[str, Any]]) -> str:
    """Mean times from outside to inside, and processor time in user space and the kernel."""
    head = ["ms, mean", *(f"{row['scenario']}, {row['concurrency']} at once" for row in rows)]
    lines = [[title, *(f"{row[part]:.3f}" for row in rows)] for part, title in PARTS.items()]
    lines.append(["all", *(f"{row['whole_ms']:.3f}" for row in rows)])
    for key, title in (
        ("user", "processor time of the server, user space"),
        ("kernel", "processor time of the server, kernel"),
        ("triton_user", "processor time of Triton, user space"),
        ("triton_kernel", "processor time of Triton, kernel"),
    ):
        lines.append([title, *(f"{row['cpu_ms'][key]:.3f}" for row in rows)])
    return table(head, lines)


def _analyzed(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return "It did not run here.\n"
    head = ["model, binary tensors", "at once", "requests/s", "p50, ms", "p99, ms"]
    fields = ("throughput", "p50_ms", "p99_ms")
    lines = [[row["model"], row["concurrency"], *(Samples((row[name],)) for name in fields)] for row in rows]
    return table(head, lines)


def _notes(results: Results) -> Iterator[str]:
    for sample in results.found["samples"]:
        if sample["broken"] or sample["refused"]:
            yield (
                f"- {sample['scenario']}, {sample['model']}, {sample['concurrency']} at once: "
                f"{sample['refused']} answers were no 200, {sample['broken']} connections broke or timed out."
            )


def main() -> int:
    """Write the report and its plots from the samples; gives an exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving_report", description=__doc__)
    parser.add_argument("--report", type=Path, default=FOLDER, help="folder of samples.json, and of the report")
    folder: Path = parser.parse_args().report
    results = Results(json.loads((folder / "samples.json").read_text()))
    (folder / "README.md").write_text(text(results))
    for model, questions in QUESTIONS.items():
        for question in questions:
            plot(results, model, question, folder / question.file(model))
    print(f"report: {folder / 'README.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
