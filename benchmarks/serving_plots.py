"""The servers' plots: each answers one question, with throughput and latency side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.goals import ASYNC, BARE_ENVOY, ENVOY_TRITON, OURS, PEER, TRITON, UNBATCHED
from benchmarks.plots import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, Line, draw, pyplot, save
from benchmarks.results import DENSENET, DIGITS, LOCAL, PEER_LOCAL, TRITON_JSON, Results

__all__ = ["QUESTIONS", "SCRIPT", "Question", "plot"]

MEASURES = {"throughput": "Requests/s", "p99_ms": "p99, ms"}


@dataclass(frozen=True)
class Question:
    """What one plot answers.

    Attributes:
        slug: The end of the plot's file name.
        asks: The question in words: the plot's heading.
        rows: A label and a colour for each row of the samples that the answer needs.
    """

    slug: str
    asks: str
    rows: Mapping[str, tuple[str, str]]

    def file(self, model: str) -> str:
        """Name the plot's file for a model."""
        return f"{self.slug}-{model.lower().replace('-', '')}.svg"


_SCRIPTS = {
    ASYNC: ("async script + Triton", GREEN),
    OURS: ("script + Triton", BLUE),
    PEER: ("Azure's: script + Triton", VERMILION),
}
SCRIPT = Question(
    "script",
    "What does an entry script cost and gain, beside Azure's server?",
    {
        TRITON_JSON: ("Triton alone", BLACK),
        **_SCRIPTS,
        LOCAL: ("script runs the model", SKY),
        PEER_LOCAL: ("Azure's: script runs it", ORANGE),
    },
)
_FORMATS = Question(
    "tensors",
    "What do binary tensors gain over JSON, between script and Triton?",
    {
        TRITON_JSON: ("Triton, JSON", BLACK),
        TRITON: ("Triton, binary", SKY),
        OURS: ("script, JSON", BLUE),
        "ours: script and Triton, binary": ("script, binary", GREEN),
        PEER: ("Azure's, JSON", VERMILION),
        "Azure's: script and Triton, binary": ("Azure's, binary", ORANGE),
    },
)
_DOOR = Question(
    "front-door",
    "What does the front door cost?",
    {
        TRITON: ("Triton alone", BLACK),
        BARE_ENVOY: ("bare Envoy + Triton", SKY),
        ENVOY_TRITON: ("front door + Triton", BLUE),
        OURS: ("script + Triton", GREEN),
        "Envoy, ours: script and Triton, JSON": ("front door + script", PURPLE),
    },
)
_BATCHES = Question(
    "batches",
    "What does batching in Triton gain?",
    {
        TRITON: ("Triton alone", BLACK),
        f"{TRITON}{UNBATCHED}": ("Triton, no batching", SKY),
        ENVOY_TRITON: ("front door", BLUE),
        f"{ENVOY_TRITON}{UNBATCHED}": ("front door, no batching", PURPLE),
        ASYNC: ("async script", GREEN),
        f"{ASYNC}{UNBATCHED}": ("async script, no batching", ORANGE),
    },
)
QUESTIONS = {DIGITS: (SCRIPT, _DOOR, _BATCHES, _FORMATS), DENSENET: (SCRIPT, _FORMATS)}
"""What is asked of each model's samples; the first is the report's own question."""


def plot(results: Results, model: str, question: Question, path: Path) -> None:
    """Draw the medians of a question's rows: throughput to the left, p99 to the right."""
    figure, panels = pyplot.subplots(1, len(MEASURES), figsize=(10.4, 3.6), layout="constrained")
    for panel, (field, title) in zip(panels, MEASURES.items(), strict=True):
        lines = [
            Line(label, {n: results.of(model, row, n, field).median for n in results.concurrencies(model)}, color)
            for row, (label, color) in question.rows.items()
            if row in results.scenarios(model)
        ]
        draw(panel, lines, title=title, xlabel="requests at once")
    figure.suptitle(f"{question.asks} ({model})", x=0.01, ha="left", fontsize=11)
    save(figure, str(path))
