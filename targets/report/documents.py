"""The page and the summary as texts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from targets.report import told
from targets.report.told import Row
from targets.rollout_record import RolloutRecord, StepRecord

__all__ = ["Plots", "page", "summary"]

_HERE = Path(__file__).parent
_MEANS_SOMETHING = re.compile(r"[^0-9A-Za-z .,:%/\u00a1-\U0010ffff-]|(?<!\d):|:(?!\d)|^-(?=.)|(?<=www)\.", re.I)
_NOT_SHOWN = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True)
class _Step:
    """A step as both documents show it."""

    record: StepRecord
    share: str
    began: str
    took: str
    old_errors: str
    new_errors: str
    old_p95: str
    new_p95: str
    rows: list[Row]
    plot: str


@dataclass(frozen=True)
class Plots:
    """The drawings of a page, as SVG elements; `missing` says why there are none."""

    time_line: str = ""
    steps: tuple[str, ...] = ()
    missing: str = ""


def page(record: RolloutRecord, plots: Plots) -> str:
    """Write the page, which needs nothing else to be shown."""
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    style = Markup((_HERE / "page.css").read_text(encoding="utf-8").strip())
    return environment.get_template("page.html.jinja").render(
        _told(record, plots), style=style, time_line=plots.time_line, no_plots=plots.missing
    )


def summary(record: RolloutRecord) -> str:
    """Write the summary, in GitHub's Markdown."""
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=False,  # an entity stands for each character that means something, by `finalize`
        finalize=_markdown,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template("summary.md.jinja").render(_told(record, Plots()))


def _told(record: RolloutRecord, plots: Plots) -> Mapping[str, Any]:
    """Give what both templates show."""
    first, rest = told.reason(record)
    drawn = plots.steps or ("",) * len(record.steps)
    return {
        "record": record,
        "reason": first,
        "details": escape(rest),
        "facts": list(told.facts(record)),
        "asked": told.source(record.proof) if record.proof else "",
        "gates": told.gates(record.proof) if record.proof else [],
        "steps": [_step(step, plot) for step, plot in zip(record.steps, drawn, strict=True)],
    }


def _step(step: StepRecord, plot: str) -> _Step:
    share = told.measured_share(step)
    return _Step(
        record=step,
        share="-" if share is None else f"{share:.1f} %",
        began=told.moment(step.started),
        took=told.took(step.ended - step.started),
        old_errors=told.error_rate(step.old),
        new_errors=told.error_rate(step.new),
        old_p95=told.milliseconds(step.old.p95_ms),
        new_p95=told.milliseconds(step.new.p95_ms),
        rows=told.step_rows(step),
        plot=plot,
    )


def _markdown(value: object) -> str:
    """Write a text so that it stays one line, and means nothing to Markdown, HTML or GitHub."""
    if isinstance(value, Markup):
        return value
    line = _NOT_SHOWN.sub(" ", str(value)).strip()
    return _MEANS_SOMETHING.sub(lambda found: f"&#{ord(found[0])};", line)
