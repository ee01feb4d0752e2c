"""The dashboard of a service that is up, in a real browser: its figures, its form, and where the key is not."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from playwright.sync_api import Browser, Page, Response, sync_playwright

from targets.machine.ports import free_ports
from tests.e2e.conftest import SCORE, golden_digit
from tests.e2e.project import Project, dashboard, project
from tests.targets.report.test_page import CHROMIUM, CONTRAST, SIZES, launched

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH: install the distribution's package")


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The digits model behind a script, and a client that may ask the model alone."""
    with project(tmp_path_factory.mktemp("e2e") / "project") as made:
        made.add_model("digits")
        made.write_script(SCORE, golden={"request": {"row": 0}, "response": {"digit": golden_digit(made.root)}})
        made.write_settings(entryScript="score.py", clients=[{"name": "checkout", "models": ["digits"]}])
        made.up()
        yield made


@pytest.fixture(scope="module")
def address(deployed: Project) -> Iterator[str]:
    with dashboard(deployed, free_ports(1)[0]) as (_, line):
        assert line.startswith("svc: http://127.0.0.1:"), line
        yield line.split()[1]


@pytest.fixture(scope="module")
def keys(deployed: Project) -> dict[str, str]:
    outputs = deployed.outputs()
    found = {"default": outputs["primaryKey"], "secondary": outputs["secondaryKey"]}
    return found | {"checkout": outputs["clientKeys"]["checkout"]["primary"]}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launched(playwright)
        yield browser
        browser.close()


@dataclass
class Opened:
    """The page in the browser: what went wrong there, whom it asked, and all that it got."""

    page: Page
    wrong: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    got: list[Response] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("response", lambda response: self.got.append(response))

    def rows(self, table: str) -> dict[str, list[str]]:
        """Give the texts of a table's rows, by the first."""
        rows = [row.locator("th, td").all_inner_texts() for row in self.page.locator(f"#{table} tbody tr").all()]
        return {first: rest for first, *rest in rows}

    def outcome(self) -> str:
        """Send the form, and wait for what came of it."""
        self.page.click("#send")
        self.page.locator("#outcome:not(:text-is('…')):not(:empty)").wait_for()
        self.page.locator("#send:not([disabled])").wait_for()
        return self.page.locator("#outcome").inner_text()


@contextmanager
def opened(browser: Browser, address: str, size: str = "desk", scheme: Any = "light") -> Iterator[Opened]:
    page = browser.new_page(viewport=SIZES[size], color_scheme=scheme)
    found = Opened(page)
    page.goto(address)
    page.locator("#latency svg").wait_for()
    yield found
    page.close()


def counted(deployed: Project, metric: str, label: str, path: str = "/stats/prometheus") -> dict[str, int]:
    """Add up a metric by a label, as Envoy or Triton writes it."""
    text = httpx.get(f"http://127.0.0.1:{deployed.record.stats_port}{path}").text
    found: dict[str, int] = {}
    for labels, value in re.findall(rf"^{metric}\{{(.*)\}} (\d+)$", text, re.M):
        name = re.search(rf'{label}="([^"]*)"', labels)
        assert name is not None
        found[name[1]] = found.get(name[1], 0) + int(value)
    return found


@pytest.mark.parametrize(("size", "scheme"), [("desk", "light"), ("phone", "dark")])
def test_it_renders_without_an_error_a_foreign_request_or_a_scroll_bar_below(
    browser: Browser, address: str, size: str, scheme: str
) -> None:
    with opened(browser, address, size, scheme) as found:
        assert found.page.locator("h1").inner_text() == "svc"
        assert found.page.locator("#shares").inner_text() == "Generation 1 has all of the traffic."
        assert found.outcome().startswith("200 OK")
        width, window = found.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width <= window
        for drawing in found.page.locator("svg:visible").all():
            box = drawing.bounding_box()
            assert box is not None
            assert box["width"] > 300
        contrast, text = found.page.evaluate(CONTRAST)
        assert contrast >= 4.5, text
        assert found.wrong == []
        assert {url.split("#")[0].rpartition("/")[0] for url in found.asked if not url.startswith("data:")} == {
            address.split("/#")[0]
        }


def test_its_figures_are_those_of_the_metrics(
    browser: Browser, deployed: Project, address: str, keys: dict[str, str]
) -> None:
    golden = json.loads((deployed.root / "models" / "triton" / "digits" / "golden.json").read_text())["request"]
    with opened(browser, address) as found, httpx.Client(base_url=deployed.url, timeout=30) as client:

        def ask(key: str, path: str, body: object) -> int:
            return client.post(path, json=body, headers={"Authorization": f"Bearer {key}"}).status_code

        infer = "/v2/models/digits/infer"
        assert [ask(keys["default"], "/score", {"row": 0}) for _ in range(3)] == [200] * 3
        assert [ask(keys["checkout"], infer, golden) for _ in range(4)] == [200] * 4
        assert [ask(keys["checkout"], "/score", {"row": 0}), ask("stranger", infer, golden)] == [403, 401]
        time.sleep(2)  # Envoy adds up its histograms once a second
        page = found.page
        for _ in range(2):  # a look that began before the requests, and one after
            with page.expect_response(lambda response: response.url.endswith("/figures")):
                pass
        page.wait_for_timeout(500)

        def whole(table: str) -> dict[str, int]:
            return {name: int(cells[0].replace(",", "")) for name, cells in found.rows(table).items()}

        clients = counted(deployed, "envoy_front_door_requests", "client")
        assert whole("clients") == {"(unknown)" if name == "-" else name: count for name, count in clients.items()}
        assert clients["checkout"] == 5
        assert whole("routes") == counted(deployed, "envoy_front_door_milliseconds_count", "route")
        served = counted(deployed, "envoy_front_door_requests", "generation")
        assert whole("generations") == {"1": served["1"]}
        answered = counted(deployed, "nv_inference_request_success", "model", "/metrics")
        version, count, *_ = found.rows("models")["digits"]
        assert (version, int(count)) == ("1", answered["digits"])
        cells = found.rows("clients")["checkout"]
        assert [float(cells[place]) > 0 for place in (1, 2, 3)] == [True] * 3  # a second, answered, refused
        assert "403" in page.locator("#statuses").inner_text()
        assert page.locator("#requests polyline").count() == 5


def test_the_form_sends_a_golden_request_and_says_whether_the_answer_is_right(
    browser: Browser, deployed: Project, address: str
) -> None:
    with opened(browser, address) as found:
        assert found.page.locator("#golden option").all_inner_texts() == [
            "golden: /score",
            "golden: digits, version 1",
            "my own",
        ]
        found.page.select_option("#golden", "digits, version 1")
        assert re.fullmatch(r"200 OK · [\d.,]+ ms · [\d,]+ bytes · as expected", found.outcome())
        received = json.loads(found.page.locator("#received").inner_text())
        assert received["model_name"] == "digits"
        found.page.select_option("#golden", "/score")
        assert found.outcome().endswith("as expected")
        assert json.loads(found.page.locator("#received").inner_text()) == {"digit": golden_digit(deployed.root)}


def test_the_form_sends_ones_own_request_in_the_name_of_a_client(browser: Browser, address: str) -> None:
    with opened(browser, address) as found:
        page = found.page
        page.fill("#body", '{"row": 1}')
        assert re.fullmatch(r"200 OK · [\d.]+ ms · \d+ bytes", found.outcome())
        page.select_option("#client", "checkout")
        assert found.outcome().startswith("403 Forbidden")
        assert "is not granted /score" in page.locator("#received").inner_text()
        page.select_option("#golden", "")
        page.select_option("#method", "GET")
        page.fill("#path", "/v2/models/digits")
        assert found.outcome().startswith("200 OK")
        page.fill("#path", "//127.0.0.1:1/v2")  # no way to another server
        assert found.outcome().startswith(("404", "200", "403"))
        page.fill("#path", "http://127.0.0.1:1/")
        assert "a path that starts with '/'" in found.outcome()


def test_the_key_is_nowhere_but_in_the_process(
    browser: Browser, deployed: Project, address: str, keys: dict[str, str]
) -> None:
    with opened(browser, address) as found:
        found.outcome()
        texts = [found.page.content(), *(response.text() for response in found.got if response.ok)]
        assert len(texts) > 8
        found.page.goto(address.replace("/#", "/api#"))
        executed(found.page, {"row": 1})
        stored = found.page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])")
        assert stored == '[{},{},""]'
        texts += [found.page.content(), *(str(process.info["cmdline"]) for process in psutil.process_iter(["cmdline"]))]
        assert not [key for key in keys.values() for text in texts if key in text]


def executed(page: Page, body: object) -> str:
    """Send a request to `/score` on Swagger UI's page, and give the status and the body that it shows."""
    score = page.locator(".opblock-post", has_text="score")
    score.wait_for()
    if not score.locator("textarea").is_visible():
        score.locator(".opblock-summary-control").click()
    score.locator("textarea").fill(json.dumps(body))
    clear = score.locator(".btn-clear")
    if clear.is_visible():  # the answer before
        clear.click()
    score.locator(".execute").click()
    answer = score.locator(".live-responses-table .response").first
    answer.wait_for()
    return answer.inner_text()


def test_the_page_of_the_script_is_swagger_ui_which_sends_requests(
    browser: Browser, deployed: Project, address: str
) -> None:
    with opened(browser, address) as found:
        page = found.page
        page.click("#api")
        shown = executed(page, {"row": 0})
        assert shown.startswith("200")
        assert f'"digit": {golden_digit(deployed.root)}' in shown
        curl = page.locator(".curl-command").inner_text()
        assert f"'{deployed.outputs()['scoringUri']}'" in curl  # the address of the service itself, for a terminal
        assert "uthorization" not in curl
        assert page.locator(".authorize:visible, .authorization__btn:visible").count() == 0
        assert found.wrong == []
        assert {url.split("/")[2] for url in found.asked if not url.startswith("data:")} == {address.split("/")[2]}
        page.click("#back")
        page.locator("#latency svg").wait_for()


def test_the_page_of_the_script_shows_why_a_request_is_refused(browser: Browser, address: str) -> None:
    with opened(browser, address) as found:
        found.page.goto(address.replace("/#", "/api#"))
        wrong = executed(found.page, {"row": "many"})
        assert re.match(r"[45]\d\d", wrong), wrong
        found.page.select_option("#client", "checkout")
        refused = executed(found.page, {"row": 0})
        assert refused.startswith("403")
        assert "is not granted /score" in refused
        found.page.route("**/ask", lambda route: route.abort())
        assert "the dashboard ended; make dashboard starts it" in executed(found.page, {"row": 0})


def test_without_the_whole_address_the_page_says_so(browser: Browser, address: str) -> None:
    page = browser.new_page()
    page.goto(address.split("#")[0])
    problem = page.locator("#problem:visible")
    problem.wait_for()
    assert "open the whole address that `make dashboard` printed" in problem.inner_text()
    page.close()


def test_ctrl_c_ends_it_without_a_word_too_many(deployed: Project) -> None:
    with dashboard(deployed, free_ports(1)[0]) as (started, line):
        assert httpx.get(line.split()[1]).status_code == 200  # it has said what it says
        os.killpg(started.pid, signal.SIGINT)
        assert started.wait(20) == 0
        assert started.stdout is not None
        assert started.stdout.read().splitlines() == [
            "It is for this machine and whoever has this address. Ctrl-C ends it.",
            "the dashboard ended",
        ]


def test_a_mistake_is_one_line(deployed: Project, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with dashboard(deployed, port) as (started, line):
            command = rf"make dashboard STACK={deployed.stack} PORT=\d+\n"
            assert re.fullmatch(rf"PORT {port} cannot be had for the dashboard: .*{command}", line)
            assert started.wait(20) == 1
    with dashboard(deployed, free_ports(1)[0], PULUMI_CONFIG_PASSPHRASE="wrong") as (started, line):
        assert line.startswith(f"the key of stack '{deployed.stack}' cannot be read: ")
        assert started.wait(20) == 1
        assert started.stdout is not None
        assert started.stdout.read() == ""
