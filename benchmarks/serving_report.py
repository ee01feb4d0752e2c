"""Writes the servers' report from its samples: goals, tables in Markdown and plots."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.goals import bounds, goals
from benchmarks.plots import pyplot, save
from benchmarks.results import DENSENET, DIGITS, PARTS, STATIC, Results
from benchmarks.samples import Samples, table

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
        parts += [f"## {model}\n", f"![Throughput and latency](plot-{_slug(model)}.svg)\n"]
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


def plot(results: Results, model: str, path: Path) -> None:
    """Throughput and p99 against concurrency, a line for each row."""
    figure, panels = pyplot.subplots(1, 3, figsize=(12, 4.6), layout="constrained")
    for panel, (field, title) in zip(panels, MEASURES.items(), strict=True):
        for name in results.scenarios(model):
            concurrencies = results.concurrencies(model)
            medians = [results.of(model, name, n, field).median for n in concurrencies]
            style = ":" if name == STATIC else "--" if name.startswith("Azure") else "-"
            panel.plot(concurrencies, medians, style, marker=".", label=name, linewidth=1.2)
        panel.set(title=title, xscale="log", yscale="log", xlabel="requests at once")
        panel.set_xticks(results.concurrencies(model), [str(n) for n in results.concurrencies(model)])
        panel.grid(True, which="both", linewidth=0.3)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
    save(figure, str(path))


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


def _slug(model: str) -> str:
    return model.lower().replace("-", "")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving_report", description=__doc__)
    parser.add_argument("--report", type=Path, default=FOLDER, help="folder of samples.json, and of the report")
    folder: Path = parser.parse_args().report
    results = Results(json.loads((folder / "samples.json").read_text()))
    (folder / "README.md").write_text(text(results))
    for model in (DIGITS, DENSENET):
        plot(results, model, folder / f"plot-{_slug(model)}.svg")
    print(f"report: {folder / 'README.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
