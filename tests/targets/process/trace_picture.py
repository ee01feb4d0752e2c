"""Draw the picture in docs/traces.md: the spans of one request, as a collector got them.

python -m tests.targets.process.trace_picture
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from environment.curated_clone import declared_environment
from settings.requirements_file import pip_packages
from settings.schema import Environment
from targets.machine.ports import free_ports
from targets.process import service as whole_service
from tests.built_environments import kept
from tests.otlp_sink import Span, collector, sampled
from tests.targets.process.conftest import OWNER, PROJECT
from tests.targets.process.test_traces import SCORED, Traced

FILE = PROJECT / "docs" / "trace.svg"
WARM_UP = 200
ROW, LEFT, WIDTH, RIGHT, TOP = 30, 300, 520, 80, 44
KINDS = {"web-door": "door", "web-scorer": "scorer", "web-triton": "triton"}
STYLE = """
    text { font: 13px system-ui, sans-serif; fill: #14202b } .time { fill: #5b6b7a; font-size: 12px }
    .door { fill: #2f5f8f } .scorer { fill: #1f7a4d } .triton { fill: #b3540f } line { stroke: #d5dce3 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e4e6e6 } .time { fill: #a9b4be } line { stroke: #39424b }
      .door { fill: #6cb6f5 } .scorer { fill: #57c785 } .triton { fill: #f0a35e }
    }
"""


def spans() -> list[Span]:
    """Ask a service that is warm, and give the spans of the last request."""
    asked = Environment(variables={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"})
    packages = [*pip_packages(asked), "tritonclient[grpc]==2.73.0"]
    environment = kept(declared_environment("Traces", asked.name, packages), "traces-tests")
    with tempfile.TemporaryDirectory() as temporary, collector() as sink:
        folder = Path(temporary)
        shutil.copytree(PROJECT / "model_repository" / "triton" / "wine", folder / "models" / "triton" / "wine")
        traced = Traced(folder, environment, free_ports(1)[0], sink, {"OTEL_TRACES_SAMPLER": "parentbased_always_off"})
        try:
            traced.up("async")
            for _ in range(WARM_UP):
                traced.score()
            trace, _, headers = sampled()
            traced.score(**headers)
            sink.trace(trace, *SCORED)
            return sink.of(trace)
        finally:
            whole_service.remove(folder / "state", "web", OWNER)


def below(all_spans: Sequence[Span], parent: str, depth: int = 0) -> Iterator[tuple[int, Span]]:
    """Give a span's children in the order of their starts, each with its depth and before its own children."""
    for span in sorted((span for span in all_spans if span.parent == parent), key=lambda span: span.start):
        yield depth, span
        yield from below(all_spans, span.id, depth + 1)


def took(span: Span) -> str:
    return f"{(span.end - span.start) / 1e6:.2f} ms"


def drawn(all_spans: Sequence[Span]) -> str:
    """Draw spans as a waterfall: a row each, times in milliseconds since the first one's start."""
    ids = {span.id for span in all_spans}
    (root,) = (span for span in all_spans if span.parent not in ids)
    rows = list(below(all_spans, root.parent))
    first, last = root.start, max(span.end for span in all_spans)
    height = TOP + ROW * len(rows) + 8

    def at(moment: int) -> float:
        return LEFT + WIDTH * (moment - first) / (last - first)

    parts = []
    for x, name in zip((16, 150, 284), KINDS.values(), strict=True):
        parts += [
            f'<rect class="{name}" x="{x}" y="12" width="14" height="14" rx="3"/>',
            f'<text x="{x + 22}" y="24">{name}</text>',
        ]
    for row, (depth, span) in enumerate(rows):
        y, start, end = TOP + ROW * row, at(span.start), at(span.end)
        place = f'x="{start:.1f}" y="{y + 5}" width="{max(2, end - start):.1f}" height="17"'
        parts += [
            f'<line x1="16" x2="{LEFT + WIDTH + RIGHT}" y1="{y + ROW - 2}" y2="{y + ROW - 2}"/>',
            f'<text x="{16 + 16 * depth}" y="{y + 18}">{escape(span.name)}</text>',
            f'<rect class="{KINDS[span.service]}" {place} rx="3"/>',
            f'<text class="time" x="{end + 8:.1f}" y="{y + 18}">{took(span)}</text>',
        ]
    told = ", ".join(f"{span.name} {took(span)}" for _, span in rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + RIGHT + 16} {height}" role="img" '
        f'aria-label="The spans of one request, each below its parent: {escape(told)}.">\n<style>{STYLE}</style>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


if __name__ == "__main__":
    FILE.write_text(drawn(spans()))
