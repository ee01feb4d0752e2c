"""The page and the summary say what the record says, and no text of it means anything to them."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from serving.proving.verdict import Difference, Figure
from targets.report import told
from targets.report.documents import Plots, page, summary
from targets.rollout_record import Outcome, RolloutRecord
from tests.targets.report.records import BEGAN, measured, record, step, verdict

# What a model, a script or a client may say.
HOSTILE = (
    "<script>alert(1)</script> </pre><img src=x onerror=alert()> | `a` **b** [c](http://d) @e #1 :f: www.g.h &lt; {{"
)


class Elements(HTMLParser):
    """The elements of a page and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(text: str) -> str:
    """Render Markdown as GitHub does: tables, raw HTML, links without marks."""
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(text)


def hostile() -> RolloutRecord:
    found = Difference(request=HOSTILE, path=HOSTILE, old=HOSTILE, new=HOSTILE)
    return record(
        service="web",
        outcome=Outcome.FAILED,
        why=f"{HOSTILE}\n{HOSTILE}\n\n  # {HOSTILE}",
        proof=verdict(differences=[found], notes=[HOSTILE]),
        steps=(step(notes=(HOSTILE, "1. one\n- two")),),
    )


def test_no_text_of_a_record_is_part_of_the_page() -> None:
    shown = Elements(page(hostile(), Plots(missing=HOSTILE)))
    plain = Elements(page(record(proof=verdict(notes=["x"]), steps=(step(notes=("x", "y")),), why="a\nb"), Plots()))
    assert set(shown.names) == set(plain.names)
    assert shown.attributes == plain.attributes
    assert shown.text.count(HOSTILE) >= 8


def test_no_text_of_a_record_means_anything_in_the_summary() -> None:
    text = summary(hostile())
    shown = Elements(rendered(text))
    plain = Elements(rendered(summary(record(proof=verdict(notes=["x"]), steps=(step(notes=("x",)),), why="a\nb"))))
    assert set(shown.names) == set(plain.names)
    assert shown.attributes == plain.attributes
    assert shown.text.count(HOSTILE) >= 8
    # What GitHub finds in a text by itself: links, names of people, numbers of issues, pictures' names.
    bare = re.sub(r"<pre>.*?</pre>", "", text, flags=re.DOTALL)
    assert not re.search(r"https?://|www\.|@\w|(?<!&)#\d|:[a-z]+:", bare)


def test_each_figure_stands_beside_its_limit() -> None:
    rows = {row.name: row for row in told.step_rows(step())}
    assert list(rows) == ["p50, ms", "p95, ms", "p99, ms"]
    assert rows["p95, ms"] == told.Row("p95, ms", "9.0", "30.0", "20.0", passed=False)
    assert rows["p99, ms"] == told.Row("p99, ms", "9.8", "9.8", "-", passed=None)
    text = summary(record(steps=(step(),), proof=verdict()))
    assert "| weight 20 % | p95, ms | 9.0 | 30.0 | 20.0 | **NO** |" in text
    assert "| replay | answers that differ | - | 25.0% | 1.0% | **NO** |" in text
    assert "| performance | throughput, requests/s | 1,234.5 | 1,300.0 | - |" in text
    assert "| one | &#36;.y | 1 | 2 |" in text


def test_an_estimate_has_its_bounds() -> None:
    figure = Figure(
        step="s", name="slowdown of p95", unit="ratio", new=3.04, low=2.1, high=4.0, limit=1.2, passed=False
    )
    proof = verdict(figures=[figure])
    assert "| s | slowdown of p95 | - | 3.04 (2.10 to 4.00) | 1.20 | **NO** |" in summary(record(proof=proof))
    assert "2.10 to 4.00" in Elements(page(record(proof=proof), Plots())).text


@pytest.mark.parametrize(
    ("changed", "share"),
    [
        ({}, 20.0),
        ({"weight": 0, "mirror": 50, "old": measured(200), "new": measured(90, dropped=10)}, 50.0),
        ({"old": measured(0), "new": measured(0)}, None),
    ],
    ids=["weight", "mirror", "nothing"],
)
def test_the_measured_share_is_of_what_was_sent(changed: dict[str, object], share: float | None) -> None:
    assert told.measured_share(step(**changed)) == share


def test_the_summary_of_a_step_has_both_error_rates() -> None:
    text = summary(record(steps=(step(),)))
    assert "| weight 20 % | 20.0 % | 30 s | 0.0% | 5.0% | 9.0 | 9.0 | passed |" in text
    assert "| began | 2026-03-01 12:00:00 UTC |\n| took | 1 min 5 s |" in text


def test_a_refusal_is_told_in_a_line_and_its_tables_are_the_reports_own() -> None:
    why = "step 1 of 1 refused generation 8\n  step   figure\n ─────"
    assert told.reason(record(why=why, outcome=Outcome.REFUSED)) == ("step 1 of 1 refused generation 8", "")
    assert told.reason(record(why="it ended:\n  line", outcome=Outcome.FAILED)) == ("it ended:", "  line")


def test_a_first_generation_and_a_rollout_without_gates_have_a_page() -> None:
    shown = Elements(page(record(before=None), Plots())).text
    assert "nothing: no generation served" in shown
    assert "the generation's probe alone decided" in shown
    assert f"{BEGAN:%Y-%m-%d %H:%M:%S} UTC" in shown
