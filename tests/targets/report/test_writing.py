"""A report is written beside its record, is removed with it, and is nobody's failure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from targets.errors import ServiceError
from targets.report import plots, writing
from targets.rollout_record import KEPT, Recorder, records
from tests.targets.report.records import record, step, verdict


def recorder(folder: Path, told: list[str], *, before: int | None = 7) -> Recorder:
    return Recorder(folder, service="web", target="process", generation=8, before=before, progress=told.append)


def test_a_rollout_leaves_a_page_and_a_summary_that_its_user_alone_reads(tmp_path: Path) -> None:
    told: list[str] = []
    with recorder(tmp_path, told).recording() as rollout:
        rollout.step(step())
    (file,) = records(tmp_path)
    for ending in (".html", ".md"):
        assert file.with_suffix(ending).stat().st_mode & 0o777 == 0o600
    assert told == [f"the report of this rollout: {file.with_suffix('.html')}"]


def test_a_share_that_stays_is_in_the_report(tmp_path: Path) -> None:
    with recorder(tmp_path, []).recording() as rollout:
        rollout.stays(20)
    (file,) = records(tmp_path)
    text = file.with_suffix(".md").read_text()
    assert "### web: generation 8 stays at its share" in text
    assert "| share | 20 % of the traffic, until a later rollout |" in text


def test_a_refused_rollout_has_a_report_too_and_ends_with_its_own_error(tmp_path: Path) -> None:
    def refused() -> None:
        with recorder(tmp_path, []).recording() as rollout:
            rollout.prove(verdict())
            raise ServiceError("it is slow, says https://me:secret@host/x")

    with pytest.raises(ServiceError, match="it is slow"):
        refused()
    (file,) = records(tmp_path)
    assert "it is slow" in file.with_suffix(".md").read_text()
    assert "secret" not in file.read_text()
    assert "refused" in file.with_suffix(".html").read_text()


def test_a_plot_that_cannot_be_drawn_is_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_: object) -> str:
        raise ValueError("no\nink")

    monkeypatch.setattr(plots, "time_line", breaks)
    told: list[str] = []
    writing.write(record(steps=(step(),)), tmp_path / "1.json", told.append)
    assert told[0] == "the rollout's report has no plots: ValueError: no ink"
    assert "There are no plots: ValueError: no ink" in (tmp_path / "1.html").read_text()


def test_a_report_that_cannot_be_written_fails_no_rollout(tmp_path: Path) -> None:
    told: list[str] = []
    (tmp_path / "1.md").mkdir()
    writing.write(record(), tmp_path / "1.json", told.append)
    assert len(told) == 1
    assert told[0].startswith("the rollout has no report: ")


def test_a_rollout_without_figures_waits_for_no_plotting_library(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom targets.rollout_record import Recorder\n"
        f"recorder = Recorder(Path({str(tmp_path)!r}), service='web', target='process', generation=8, before=7, "
        "progress=print)\n"
        "with recorder.recording(): pass\n"
        "assert 'matplotlib' not in sys.modules"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert len(list(tmp_path.glob("*.html"))) == 1


def test_the_oldest_reports_go_with_their_records(tmp_path: Path) -> None:
    for number in range(KEPT):
        for ending in (".json", ".html", ".md"):
            (tmp_path / f"20200101T0000{number:02}Z-{number}{ending}").write_text("{}")
    with recorder(tmp_path, []).recording():
        pass
    kept = {file.stem for file in records(tmp_path)}
    assert len(kept) == KEPT
    assert "20200101T000000Z-0" not in kept
    assert {file.stem for file in tmp_path.iterdir()} == kept
