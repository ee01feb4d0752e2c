"""How plots are drawn: as SVG that is the same for the same samples."""

from __future__ import annotations

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "benchmarks", "svg.fonttype": "none", "font.size": 9})

from matplotlib import pyplot  # noqa: E402  (after the choice of the drawing backend)
from matplotlib.figure import Figure  # noqa: E402

__all__ = ["pyplot", "save"]


def save(figure: Figure, path: str) -> None:
    """Write a figure, and forget it."""
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
