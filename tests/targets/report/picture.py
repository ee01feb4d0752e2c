"""Draw the picture in docs/new-version.md: the page of the tests' real record, on a desk and on a phone in the dark.

python -m tests.targets.report.picture
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from targets.report import writing
from tests.targets.report.records import REAL
from tests.targets.report.test_page import launched

PICTURE = Path(__file__).resolve().parents[3] / "docs" / "new-version.png"
HEIGHT, DESK, PHONE, BETWEEN = 1300, 900, 375, 24


def draw() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        writing.write(REAL, Path(folder) / "rollout.json", print)
        picture = Image.new("RGB", (DESK + BETWEEN + PHONE, HEIGHT), "white")
        browser = launched(playwright)
        for left, width, scheme, top in ((0, DESK, "light", "h1"), (DESK + BETWEEN, PHONE, "dark", "#step-2")):
            page = browser.new_page(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)
            page.goto((Path(folder) / "rollout.html").as_uri())
            if top != "h1":
                page.locator(top).evaluate("element => element.scrollIntoView()")
            picture.paste(Image.open(io.BytesIO(page.screenshot())), (left, 0))
        browser.close()
    picture.quantize(256, method=Image.Quantize.MAXCOVERAGE).save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    draw()
