"""Writes the engines' report from its samples: tables in Markdown and a plot."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.plots import BLUE, VERMILION, Line, draw, pyplot, save
from benchmarks.samples import Samples, table

EMBEDDED, CLI = "embedded", "CLI"
QUESTION = "Is the embedded engine as fast as Pulumi's CLI?"
LOCAL = "up of the stack `local`, no change"
FOLDER = Path(__file__).parent / "reports" / "engine"


class Report:
    """The samples of one run, and what is said of them."""

    def __init__(self, found: dict[str, Any]) -> None:
        self._found = found
        self._samples: list[dict[str, Any]] = found["samples"]
        self._versions: dict[str, str] = found["versions"]
        self._rows = sorted({(each["resources"], each["case"]) for each in self._samples}, key=self._order)

    def _order(self, row: tuple[int, str]) -> tuple[int, int]:
        """The program's own stack first, then by size, cases as they were run."""
        count, case = row
        cases = [each["case"] for each in self._samples]
        return (0 if case == LOCAL else count), cases.index(case)

    def text(self) -> str:
        """The report in Markdown; the plot lies beside it."""
        engines = "; ".join(f"{name} {version}" for name, version in self._versions.items())
        return "\n".join(
            [
                "# The embedded engine, measured\n",
                " ".join(self._first_screen()) + "\n",
                f"![{QUESTION}](time.svg)\n",
                "## How it was measured\n",
                f"{self._found['machine']}\n",
                machine.busy(self._found["load"]),
                f"Engines: {engines}. Rounds are interleaved; memory had one of its own. "
                "Figures are medians, with the lowest and the highest in parentheses; a figure alone is one round's. "
                'Start-up is included everywhere. "Cold" is the first run: no compiled Python, empty `PULUMI_HOME`.\n',
                "## Time\n",
                self._table("seconds", "s"),
                "## Processor time\n",
                self._table("cpu_seconds", "s"),
                "## Memory\n",
                "Peak of the proportional set size of all processes: engine, program and provider.\n",
                self._table("peak_mib", "MiB", memory=True),
            ]
        )

    def plot(self, path: Path) -> None:
        """Time against the number of resources, a panel for each case."""
        cases = list(dict.fromkeys(case for _, case in self._rows if "cold" not in case and case != LOCAL))
        figure, grid = pyplot.subplots(2, -(-len(cases) // 2), figsize=(10.4, 5.2), layout="constrained")
        panels = list(grid.flat)
        for panel, case in zip(panels, cases, strict=False):
            counts = [count for count, each in self._rows if each == case]
            lines = [
                Line(engine, {count: self._of(engine, case, count, "seconds").median for count in counts}, color)
                for engine, color in zip(self._versions, (BLUE, VERMILION), strict=False)
            ]
            draw(panel, lines, title=f"{case}, s", xlabel="resources")
        for panel in panels[len(cases) :]:
            panel.set_visible(False)
        figure.suptitle(f"{QUESTION} (median, start-up included)", x=0.01, ha="left", fontsize=11)
        save(figure, str(path))

    def _first_screen(self) -> Iterator[str]:
        """Say in three sentences how the embedded engine compares with the CLI."""
        if CLI not in self._versions:
            return

        def ratio(case: str, count: int, field: str, *, memory: bool = False) -> float:
            of = [self._of(name, case, count, field, memory=memory).median for name in (CLI, EMBEDDED)]
            return of[0] / of[1]

        everywhere = [(ratio(case, count, "seconds"), case, count) for count, case in self._rows]
        faster = sum(each > 1 for each, _, _ in everywhere)
        least, most = (
            f"{each:.1f} times as long ({case}, {count:,} resources)"
            for each, case, count in (min(everywhere), max(everywhere))
        )
        yield f"The embedded engine is faster than Pulumi's CLI in {faster} of {len(everywhere)} cases."
        yield f"The CLI takes at least {least} and at most {most}."
        lean = min(ratio(case, count, "peak_mib", memory=True) for count, case in self._rows)
        yield f"The CLI's peak of memory is at least {lean:.1f} times as high."

    def _table(self, field: str, unit: str, *, memory: bool = False) -> str:
        ratio = ["CLI / embedded"] if CLI in self._versions else []
        head = ["case", "resources", *(f"{name}, {unit}" for name in self._versions), *ratio]
        return table(head, self._lines(field, memory))

    def _lines(self, field: str, memory: bool) -> Iterator[Sequence[object]]:
        for count, case in self._rows:
            samples = {name: self._of(name, case, count, field, memory=memory) for name in self._versions}
            if not all(each.values for each in samples.values()):  # the run was stopped before
                continue
            ratio = [f"{samples[CLI].median / samples[EMBEDDED].median:.1f}"] if CLI in samples else []
            yield [case, f"{count:,}", *samples.values(), *ratio]

    def _of(self, engine: str, case: str, count: int, field: str, *, memory: bool = False) -> Samples:
        wanted = (engine, case, count, memory)
        rows = [each for each in self._samples if _key(each) == wanted]
        return Samples(tuple(each[field] for each in rows))


def _key(sample: dict[str, Any]) -> tuple[str, str, int, bool]:
    return sample["engine"], sample["case"], sample["resources"], sample["memory"]


def main() -> int:
    """Write the report and its plots from the samples; gives an exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine_report", description=__doc__)
    parser.add_argument("--report", type=Path, default=FOLDER, help="folder of samples.json, and of the report")
    folder: Path = parser.parse_args().report
    report = Report(json.loads((folder / "samples.json").read_text()))
    (folder / "README.md").write_text(report.text())
    report.plot(folder / "time.svg")
    print(f"report: {folder / 'README.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
