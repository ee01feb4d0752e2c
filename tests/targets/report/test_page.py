"""The page of a real rollout in a real browser: on a desk, on a phone and in the dark."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from serving.proving.verdict import Figure
from targets.report import writing
from targets.rollout_record import RolloutRecord
from tests.targets.report.records import REAL, record, step, verdict
from tests.targets.report.test_documents import hostile

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH: install the distribution's package")
SIZES = {"desk": {"width": 1200, "height": 900}, "phone": {"width": 375, "height": 700}}
# The least contrast of each text, with the text: WCAG's ratio to the background that it stands on.
CONTRAST = """() => {
  const channels = text => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const background = element => {
    for (let at = element; at; at = at.parentElement) {
      const found = channels(getComputedStyle(at).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
    if (!text || element.closest("style")) continue;
    const style = getComputedStyle(element), inside = element.closest("svg");
    const [a, b] = [luminance(channels(inside ? style.fill : style.color)), luminance(background(element))];
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), text]);
  }
  return found.sort((one, other) => one[0] - other[0])[0];
}"""


def launched(playwright: Playwright) -> Browser:
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's sandbox refuses root
    return playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launched(playwright)
        yield browser
        browser.close()


class Opened:
    """A page that is open in the browser, and what went wrong there."""

    def __init__(self, page: Page, file: Path) -> None:
        self.page = page
        self.wrong: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.wrong.append(message.text))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(file.as_uri())

    def table(self, selector: str) -> list[list[str]]:
        """Give the texts of a table's body, a list a row."""
        rows = self.page.locator(f"{selector} tbody tr").all()
        return [[cell.strip() for cell in row.locator("th, td").all_inner_texts()] for row in rows]


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Any]:
    pages: list[Page] = []

    def show(shown: RolloutRecord, size: str = "desk", scheme: Any = "light") -> Opened:
        writing.write(shown, tmp_path / "rollout.json", print)
        pages.append(browser.new_page(viewport=SIZES[size], color_scheme=scheme))
        return Opened(pages[-1], tmp_path / "rollout.html")

    yield show
    for page in pages:
        page.close()


ESTIMATES = [
    Figure(step="performance", name=name, unit=unit, old=old, new=new, low=low, high=high, limit=limit, passed=False)
    for name, unit, old, new, low, high, limit in (
        ("slowdown of p95", "ratio", None, 124.27, 119.73, 128.68, 1.2),
        ("throughput", "requests/s", 12_345.6, 12_345.6, None, None, 20_000.0),
    )
]
RECORDS = {
    "refused": REAL,
    "hostile": hostile(),
    "plain": record(),
    "estimates": record(proof=verdict(figures=ESTIMATES), steps=(step(figures=tuple(ESTIMATES)),)),
}
each_record = pytest.mark.parametrize("shown", RECORDS.values(), ids=RECORDS)


@each_record
@pytest.mark.parametrize("size", SIZES)
def test_it_renders_without_an_error_a_request_or_a_scroll_bar_below(
    opened: Any, shown: RolloutRecord, size: str
) -> None:
    found = opened(shown, size)
    assert found.page.locator("h1").inner_text().startswith(f"web: generation {shown.generation}")
    assert found.wrong == []
    assert [url for url in found.asked if not url.startswith(("file:", "data:"))] == []
    width, window = found.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert width <= window
    for drawing in found.page.locator("svg").all():
        box = drawing.bounding_box()
        assert box["width"] > 300
        assert box["height"] > 150


@each_record
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_text_has_a_readable_contrast(opened: Any, shown: RolloutRecord, scheme: str) -> None:
    found = opened(shown, scheme=scheme)
    dark = found.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 27)"
    assert dark == (scheme == "dark")
    contrast, text = found.page.evaluate(CONTRAST)
    assert contrast >= 4.5, text


def test_its_figures_are_those_of_the_record(opened: Any) -> None:
    found = opened(REAL)

    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:,.1f}"

    assert REAL.proof is not None
    gates = {row[0]: row[1:4] for row in found.table("#gates .figures") if len(row) == 5}
    assert len(gates) == len(REAL.proof.figures)
    p95 = next(figure for figure in REAL.proof.figures if figure.name == "p95")
    assert gates["p95, ms"] == [number(p95.old), number(p95.new), number(p95.limit)]
    differing = next(figure for figure in REAL.proof.figures if figure.step == "replay")
    assert gates["answers that differ"] == ["-", f"{differing.new:.1%}", f"{differing.limit:.1%}"]
    differences = found.table(".differences")
    assert [row[1:] for row in differences] == [[each.old, each.new] for each in REAL.proof.differences]

    overview = found.table(".overview")
    assert [row[0] for row in overview] == [each.name for each in REAL.steps]
    assert [row[-1] for row in overview] == [each.outcome.value for each in REAL.steps]
    for place, each in enumerate(REAL.steps, 1):
        rows = {row[0]: row[1:] for row in found.table(f"#step-{place} .figures")}
        assert rows["requests"][:2] == [f"{each.old.requests:,}", f"{each.new.requests:,}"]
        for name in ("p50", "p95", "p99"):
            expected = [number(getattr(side, f"{name}_ms")) for side in (each.old, each.new)]
            assert rows[f"{name}, ms"][:2] == expected
        for figure in each.figures:
            answer = {True: "✓ yes", False: "✗ NO"}[figure.passed] if figure.limit is not None else ""
            assert next(row[-1] for name, row in rows.items() if name.split(", ms")[0] == figure.name) == answer
        assert found.page.locator(f"#step-{place} svg").count() == 1
    assert found.page.locator(".reason").inner_text() == REAL.why.splitlines()[0]


def test_it_needs_no_script(browser: Browser, tmp_path: Path) -> None:
    writing.write(REAL, tmp_path / "rollout.json", print)
    page = browser.new_page(java_script_enabled=False)
    page.goto((tmp_path / "rollout.html").as_uri())
    assert page.locator("svg").count() == 1 + len(REAL.steps)
    page.close()
