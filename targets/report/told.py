"""What a rollout's report says: the record's figures as rows of tables, and words for the rest."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from serving.proving.verdict import Figure, Unit, Verdict
from targets.rollout_record import Measured, Outcome, RolloutRecord, StepRecord
from targets.verdict_text import interval, judged, shown

__all__ = [
    "Row",
    "error_rate",
    "facts",
    "gates",
    "measured_share",
    "milliseconds",
    "moment",
    "reason",
    "source",
    "step_rows",
    "took",
]


@dataclass(frozen=True)
class Row:
    """A line of a table of figures, as people read it; `passed` is None where nothing judged the figure.

    The unit stands with the name, so that a phone has room for the values. `bounds` are those of a new generation's
    figure that is an estimate.
    """

    name: str
    old: str
    new: str
    limit: str
    passed: bool | None
    bounds: str = ""


def facts(record: RolloutRecord) -> Iterator[tuple[str, str]]:
    """Yield the names and the values that say which rollout this is."""
    yield "service", f"{record.service}, on target {record.target}"
    if record.before is None:
        yield "from", "nothing: no generation served"
    else:
        yield "from", f"generation {record.before}"
    yield "to", f"generation {record.generation}"
    if record.percent is not None:
        yield "share", f"{record.percent} % of the traffic, until a later rollout"
    yield "began", moment(record.started)
    yield "took", took(record.ended - record.started)


def reason(record: RolloutRecord) -> tuple[str, str]:
    """Say why the rollout ended as it did, on one line, and give what else the error had.

    The error of a refusal has the tables that the report has too, so its first line is enough.
    """
    first, _, rest = record.why.strip().partition("\n")
    refused = record.outcome in (Outcome.REFUSED, Outcome.TOO_FEW_REQUESTS, Outcome.NO_FIGURES)
    return first, "" if refused else rest


def source(verdict: Verdict) -> str:
    """Say which requests the prover sent."""
    kind = "requests that COLLECT_URL holds" if verdict.source == "collected" else "golden requests"
    return f"{verdict.requests:,} {kind}"


def gates(verdict: Verdict) -> list[tuple[str, list[Row]]]:
    """Give each gate's name and its figures against their limits."""
    names = dict.fromkeys(figure.step for figure in verdict.figures)
    return [(name, [_row(figure) for figure in verdict.figures if figure.step == name]) for name in names]


def step_rows(step: StepRecord) -> list[Row]:
    """Write down what both generations did in a step: the judged figures, and the percentiles around them."""

    def measured(name: str, unit: Unit, old: float | None, new: float | None) -> Row:
        return _row(Figure(step=step.name, name=name, unit=unit, old=old, new=new, passed=True))

    percentiles = {
        "p50": measured("p50", "ms", step.old.p50_ms, step.new.p50_ms),
        "p95": measured("p95", "ms", step.old.p95_ms, step.new.p95_ms),
        "p99": measured("p99", "ms", step.old.p99_ms, step.new.p99_ms),
    }
    rows: list[Row] = []
    for figure in step.figures:
        if figure.name == "p95":
            rows += [percentiles.pop("p50"), _row(figure), percentiles.pop("p99")]
            percentiles.clear()
        else:
            rows.append(_row(figure))
    rows += percentiles.values()
    if step.old.dropped or step.new.dropped:
        rows.append(measured("copies left out", "count", step.old.dropped, step.new.dropped))
    return rows


def measured_share(step: StepRecord) -> float | None:
    """Give the percents of the requests that the new generation got: those it answered, or copies of them."""
    copies = step.mirror > 0
    got = step.new.requests + (step.new.dropped if copies else 0)
    all_of_them = step.old.requests if copies else step.old.requests + step.new.requests
    return 100 * got / all_of_them if all_of_them else None


def error_rate(measured: Measured) -> str:
    """Write down the share of a generation's requests that failed."""
    return f"{measured.errors / measured.requests:.1%}" if measured.requests else "-"


def milliseconds(value: float | None) -> str:
    """Write down a number of milliseconds."""
    return "-" if value is None else f"{value:,.1f}"


def moment(time: datetime) -> str:
    """Write down when something was."""
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def took(time: timedelta) -> str:
    """Write down how long something took."""
    minutes, seconds = divmod(round(time.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h" * bool(hours), f"{minutes} min" * bool(hours or minutes), f"{seconds} s"]
    return " ".join(filter(None, parts))


def _row(figure: Figure) -> Row:
    named = figure.unit in ("ms", "requests/s")
    values = (shown(figure, value) for value in (figure.old, figure.new, figure.limit))
    old, new, limit = (value.removesuffix(f" {figure.unit}") if named else value for value in values)
    name = f"{figure.name}, {figure.unit}" if named else figure.name
    return Row(name, old, new, limit, judged(figure), interval(figure))
