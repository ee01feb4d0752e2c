"""Write a rollout's report beside its record. A report that cannot be drawn or written fails no rollout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from common.atomic_files import write_whole
from common.redaction import redacted
from targets.rollout_record import Outcome, RolloutRecord

if TYPE_CHECKING:
    from targets.report import documents

__all__ = ["write"]


def write(record: RolloutRecord, file: Path, progress: Callable[[str], object]) -> None:
    """Write the page and the summary.

    Args:
        record: The rollout.
        file: Its record; the page and the summary get its name, with other endings.
        progress: Is told where the report is, or why there is none.
    """
    try:
        from targets.report import documents

        plots = _plots(record, progress)
        write_whole(file.with_suffix(".md"), documents.summary(record), mode=0o600)
        write_whole(file.with_suffix(".html"), documents.page(record, plots), mode=0o600)
    except Exception as error:  # the rollout is over, and its record is written
        progress(f"the rollout has no report: {_said(error)}")
        return
    # A first deployment that fails leaves nothing, its reports neither.
    stays = record.before is not None or record.outcome is Outcome.PASSED
    if stays and (record.steps or record.proof):
        progress(f"the report of this rollout: {file.with_suffix('.html')}")


def _plots(record: RolloutRecord, progress: Callable[[str], object]) -> documents.Plots:
    """Draw what the record has figures for. Without such figures, nobody waits for the plotting library."""
    from targets.report import documents

    if not record.steps:
        return documents.Plots()
    try:
        from targets.report import plots

        return documents.Plots(plots.time_line(record), tuple(plots.latencies(step) for step in record.steps))
    except Exception as error:  # the tables say the same
        progress(f"the rollout's report has no plots: {_said(error)}")
        return documents.Plots(missing=_said(error))


def _said(error: Exception) -> str:
    return redacted(" ".join(f"{type(error).__name__}: {error}".split()))
