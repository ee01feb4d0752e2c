"""`make report`: the newest report, a list, and summaries for a job of a CI."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from operate import __main__ as operate
from targets.rollout_record import Outcome
from tests.targets.report.records import BEGAN, record, step

Run = Callable[..., tuple[int, str, str]]
TARGETS = {"process": ".var/services/web", "docker": ".var/docker/web", "node-pool": ".var/node-pool/default/web"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the verb on a project whose stack `mine` has a service `web` on a target, without a display."""
    (tmp_path / "Pulumi.yaml").write_text("name: triton-serving\nruntime: python\n")
    (tmp_path / "stacks").mkdir()
    monkeypatch.setattr(operate, "PROJECT", tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")

    def run(*arguments: str, target: str = "process") -> tuple[int, str, str]:
        settings = f"config:\n  serviceName: web\n  models: ['m:1']\n  deployment: {{target: {target}}}\n"
        (tmp_path / "stacks" / "Pulumi.mine.yaml").write_text(settings)
        code = operate.main(["report", "--stack", "mine", *arguments])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Two records of the service on target `process`, without their pages."""
    return written(tmp_path / TARGETS["process"] / "reports")


def written(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "20260301T120000Z-8.json").write_text(record(steps=(step(),)).model_dump_json(by_alias=True))
    later = record(generation=9, before=8, outcome=Outcome.REFUSED, why="it is slow", started=BEGAN + timedelta(days=1))
    (folder / "20260302T120000Z-9.json").write_text(later.model_dump_json(by_alias=True))
    return folder


def test_the_newest_is_named_and_written_where_its_rollout_could_not(run: Run, reports: Path) -> None:
    page = reports / "20260302T120000Z-9.html"
    assert run() == (0, f"{page}\n", "")
    assert "it is slow" in page.read_text()


def test_it_is_opened_where_there_is_a_display(
    run: Run, reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opener = tmp_path / "bin" / "xdg-open"
    opener.parent.mkdir()
    opener.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened.new\nmv {tmp_path}/opened.new {tmp_path}/opened\n')
    opener.chmod(0o755)
    monkeypatch.setenv("PATH", f"{opener.parent}:/usr/bin:/bin")
    monkeypatch.setenv("DISPLAY", ":0")
    assert run()[0] == 0
    deadline = time.monotonic() + 20
    while not (tmp_path / "opened").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (tmp_path / "opened").read_text() == f"{reports / '20260302T120000Z-9.html'}\n"


def test_the_list_has_the_newest_first(run: Run, reports: Path) -> None:
    run()  # writes the page of the second
    (reports / "20260303T120000Z-10.json").write_text('{"from": "a later version"}')
    code, shown, _ = run("--list")
    assert code == 0
    rows = [line.split() for line in shown.splitlines() if ".html" in line or ".json" in line]
    assert rows[0] == ["cannot", "be", "read", str(reports / "20260303T120000Z-10.json")]
    assert rows[1][:6] == ["2026-03-02", "12:00:00", "8", "to", "9", "refused"]
    assert rows[1][-1] == str(reports / "20260302T120000Z-9.html")
    assert " ".join(rows[2][2:-1]) == "7 to 8 passed 1 of 1 passed"
    assert rows[2][-1] == str(reports / "20260301T120000Z-8.json")  # its page was not written


def test_the_list_counts_the_steps_that_did_not_begin_too(run: Run, reports: Path) -> None:
    refused = step(outcome=Outcome.REFUSED)
    for number, planned in ((11, 3), (12, 0)):  # an older release wrote the second
        later = record(generation=number, outcome=Outcome.REFUSED, steps=(step(), refused), planned=planned)
        (reports / f"20260304T120000Z-{number}.json").write_text(later.model_dump_json(by_alias=True))
    _, shown, _ = run("--list")
    assert "7 to 11 refused 1 of 3 passed" in " ".join(shown.split())
    assert "7 to 12 refused 1 of 2 passed" in " ".join(shown.split())


@pytest.mark.parametrize("target", TARGETS)
def test_each_target_says_where_its_reports_are(run: Run, tmp_path: Path, target: str) -> None:
    folder = written(tmp_path / TARGETS[target] / "reports")
    assert run(target=target) == (0, f"{folder / '20260302T120000Z-9.html'}\n", "")


def test_a_job_gets_the_summaries_of_its_own_rollouts(run: Run, reports: Path) -> None:
    code, shown, _ = run("--since", str(int(BEGAN.timestamp())))
    assert code == 0
    assert next(line for line in shown.splitlines() if line.startswith("###")) == "### web: generation 8 passed"
    assert "### web: generation 9 refused" in shown
    assert run("--since", str(int(BEGAN.timestamp()) + 90_000)) == (0, "", "")


def test_a_service_without_rollouts_is_told(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / TARGETS["process"] / "reports"
    told = f"service 'web' has no report yet: the next rollout writes one into {folder}\n"
    assert run() == run("--list") == (1, "", told)
    assert run("--since", "0") == (0, "", "")


def test_a_record_that_cannot_be_read_is_told(run: Run, reports: Path) -> None:
    (reports / "20260303T120000Z-10.json").write_text("{}")
    code, _, told = run()
    assert code == 1
    assert told.endswith("expected the record of a rollout as this version writes it; remove the file\n")
