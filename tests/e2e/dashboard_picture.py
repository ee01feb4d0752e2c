"""Draw the pictures in docs/dashboard.md: a service with three clients under load, and the page of its script.

python -m tests.e2e.dashboard_picture
"""

from __future__ import annotations

import io
import json
import random
import tempfile
import threading
import time
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from targets.machine.ports import free_ports
from tests.e2e.conftest import SCORE, golden_digit
from tests.e2e.project import Project, dashboard, project
from tests.e2e.test_dashboard import executed
from tests.targets.report.test_page import launched

DOCS = Path(__file__).resolve().parents[2] / "docs"
HEIGHT, DESK, PHONE, BETWEEN = 1500, 900, 375, 24
ANSWER = 1780  # where the script's page has shown its answer
SECONDS = 100
CLIENTS = [
    {"name": "checkout", "models": ["digits"], "requestsPerSecond": 20},
    {"name": "batch", "models": ["wine"], "score": True},
]
# Who asks what, and how many seconds he pauses.
LOAD = [
    ("checkout", "digits", 0.02),
    ("checkout", "digits", 0.05),
    ("checkout", "wine", 1.0),
    ("batch", "wine", 0.05),
    ("batch", "score", 0.1),
    ("default", "score", 0.06),
    ("stranger", "digits", 0.8),
]


def draw() -> None:
    with tempfile.TemporaryDirectory() as folder, project(Path(folder) / "project") as made:
        for model in ("digits", "wine"):
            made.add_model(model)
        made.write_script(SCORE, golden={"request": {"row": 0}, "response": {"digit": golden_digit(made.root)}})
        made.write_settings(serviceName="triton-webservice", entryScript="score.py", clients=CLIENTS)
        made.up()
        with dashboard(made, free_ports(1)[0]) as (_, line):
            over = threading.Event()
            load(made, over)
            time.sleep(SECONDS)
            with sync_playwright() as playwright:
                browser = launched(playwright)
                save(shoot(browser, line.split()[1]), "dashboard.png")
                over.set()
                save(shoot_script(browser, line.split()[1]), "dashboard-score.png")
                browser.close()


def save(picture: Image.Image, name: str) -> None:
    picture.quantize(256, method=Image.Quantize.MAXCOVERAGE).save(DOCS / name, optimize=True)
    print(f"{DOCS / name}: {(DOCS / name).stat().st_size / 1024:.0f} KiB")


def load(made: Project, over: threading.Event) -> None:
    """Ask as `LOAD` says, in threads, until it is over."""
    outputs = made.outputs()
    keys = {name: pair["primary"] for name, pair in outputs["clientKeys"].items()}
    keys |= {"default": outputs["primaryKey"], "stranger": "nobody-knows-this-key"}
    bodies = {
        model: json.loads((made.root / "models" / "triton" / model / "golden.json").read_text())["request"]
        for model in ("digits", "wine")
    } | {"score": {"row": 1}}

    def ask(client: str, what: str, pause: float) -> None:
        path = "/score" if what == "score" else f"/v2/models/{what}/infer"
        with httpx.Client(base_url=made.url, headers={"Authorization": f"Bearer {keys[client]}"}) as asking:
            while not over.wait(random.uniform(0, 2 * pause)):
                asking.post(path, json=bodies[what])

    for each in LOAD:
        threading.Thread(target=ask, args=each, daemon=True).start()


def shoot(browser: Browser, address: str) -> Image.Image:
    picture = Image.new("RGB", (DESK + BETWEEN + PHONE, HEIGHT), "white")
    for left, width, scheme in ((0, DESK, "light"), (DESK + BETWEEN, PHONE, "dark")):
        page = browser.new_page(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)
        page.goto(address)
        page.locator("#latency svg").wait_for()
        page.click("#send")
        page.locator("#received:not(:empty)").wait_for()
        top = "h1" if left == 0 else "#form"
        page.locator(top).evaluate("element => element.closest('section, header').scrollIntoView()")
        picture.paste(Image.open(io.BytesIO(page.screenshot())), (left, 0))
    return picture


def shoot_script(browser: Browser, address: str) -> Image.Image:
    page = browser.new_page(viewport={"width": DESK, "height": ANSWER})
    page.goto(address.replace("/#", "/api#"))
    executed(page, {"row": 0})
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


if __name__ == "__main__":
    draw()
