"""`make versions` and the number that `make rollback` goes back to."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bundle.service_versions import Facts, ServiceVersions
from operate.versions import History, NoVersionError, SharedTrafficError, choose, show
from settings.load import load
from settings.service_version import CONTENT, VersionContent

PROJECT = Path(__file__).resolve().parents[2]
ANN = Facts(by="ann@host", commit="0123456789ab", branch="main", passed="probe, smoke check (3)")


@pytest.fixture
def versions(tmp_path):
    return ServiceVersions(str(tmp_path), project="p", stack="s", service="web")


def content(version, script=True):
    return VersionContent.model_validate(
        {
            "models": [{"name": "m", "version": version, "digest": "sha256:1"}],
            "environment": {"name": "Mine"},
            **({"script": {"file": "score.py", "digest": "abcdef0123456789"}} if script else {}),
        }
    )


@pytest.fixture
def history(versions):
    """Four versions, of which the third serves."""
    for number in range(1, 5):
        versions.keep({CONTENT: content(number, script=number > 1).to_bytes()}, ANN)
    return History("s", versions, serving=3)


def shown(history):
    text = io.StringIO()
    code = show(Console(file=text, width=200, highlight=False), history)
    return code, text.getvalue()


def test_the_table_has_a_row_for_each_version_the_newest_first(history):
    code, text = shown(history)
    assert code == 0
    rows = [line.split() for line in text.splitlines() if line.strip()[:1].isdigit()]
    assert [row[0] for row in rows] == ["4", "3", "2", "1"]
    assert [row[-1] for row in rows] == ["(3)", "serves", "(3)", "(3)"]
    one, two = " ".join(rows[3]), " ".join(rows[2])
    assert "ann@host main 0123456789ab m:1 - Mine" in one
    assert "m:2 score.py abcdef01 Mine" in two
    assert "probe, smoke check (3)" in two
    assert "make rollback STACK=s VERSION=<number> deploys one of them whole" in text


def test_a_version_that_cannot_be_read_does_not_hide_the_others(history, versions):
    versions.keep({CONTENT: b"{}"}, ANN)
    _, text = shown(history)
    assert "cannot be read" in text
    assert "m:4" in text


def test_without_a_version_it_says_how_to_get_one(versions):
    assert shown(History("local", versions, None)) == (1, "stack 'local' has no version yet; deploy it: make up\n")


def test_the_version_that_serves_is_read_from_the_stacks_outputs(tmp_path, settings_of_a_stack):
    (tmp_path / "Pulumi.yaml").write_text("name: p\n")
    for outputs, serving in (("", None), ("{}", None), (json.dumps({"version": 3.0}), 3)):
        found = History.of(settings_of_a_stack, tmp_path, "s", outputs)
        assert (found.serving, found.versions.url.endswith("/.services/p/s")) == (serving, True)
        assert found.share == 100


@pytest.mark.parametrize("percent", [0, 10, 100])
def test_the_share_of_a_new_version_is_read_from_the_settings(tmp_path, percent):
    (tmp_path / "Pulumi.yaml").write_text("name: p\n")
    deployment = {"rollout": {"canaryTrafficPercent": percent}}
    settings = load({"models": ["m:1"], "deployment": deployment}, subject="s", project=tmp_path, form_alone=True)
    assert History.of(settings, tmp_path, "s", "").share == percent


@pytest.fixture
def settings_of_a_stack(tmp_path):
    return load({"models": ["m:1"]}, subject="s", project=tmp_path, form_alone=True)


@pytest.mark.parametrize(("asked", "number"), [("", 2), ("1", 1), ("4", 4)])
def test_it_goes_back_to_the_version_before_the_one_that_serves_or_to_the_one_named(history, capsys, asked, number):
    assert choose(history, asked) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{number}\n"
    assert f"version {number} of " in printed.err
    assert "by ann@host in place of version 3: models m:3 -> m:" in printed.err
    assert (
        f"stacks/Pulumi.s.yaml gets deployment.version: {number}. To go forward again, remove that line" in printed.err
    )
    assert "make up STACK=s" in printed.err


@pytest.mark.parametrize(
    ("serving", "asked", "text"),
    [
        (3, "9", "VERSION=9: service 'web' has no such version; expected one of 1, 2, 3, 4"),
        (3, "two", "VERSION=two: service 'web' has no such version"),
        (1, "", "version 1 serves, and none before it is kept"),
        (None, "", "stack 's' serves nothing; name the version"),
    ],
)
def test_what_nobody_can_go_back_to_is_told_with_those_there_are(history, versions, serving, asked, text):
    with pytest.raises(NoVersionError) as told:
        choose(History("s", versions, serving), asked)
    assert text in str(told.value)
    assert "expected one of 1, 2, 3, 4" in str(told.value)


@pytest.mark.parametrize("asked", ["", "1", "9"])
def test_beside_a_share_of_the_traffic_it_goes_back_to_none_and_says_how(history, capsys, asked):
    with pytest.raises(SharedTrafficError) as told:
        choose(replace(history, share=10), asked)
    assert str(told.value) == (
        "stacks/Pulumi.s.yaml: deployment.rollout.canaryTrafficPercent is 10, so a version that is deployed gets 10 % "
        "of the traffic, and the version that serves keeps the rest; to give version 3 all of the traffic again, set "
        "it to 0 and run: make up STACK=s; to deploy another version with all of the traffic, remove the setting and "
        "run: make rollback STACK=s VERSION=<number>"
    )
    assert capsys.readouterr().out == ""
    with pytest.raises(SharedTrafficError, match="is 0, so a version that is deployed gets no traffic; to deploy"):
        choose(replace(history, share=0), asked)


def test_the_page_shows_the_table_and_the_words_that_people_see(history, capsys):
    page = (PROJECT / "docs" / "versions.md").read_text(encoding="utf-8")
    _, text = shown(history)
    header = next(line for line in text.splitlines() if "version" in line)
    assert " ".join(header.split()) in " ".join(page.split())
    assert text.splitlines()[-1].replace("STACK=s", "STACK=mine") in page
    choose(history, "")
    said = capsys.readouterr().err
    forward = said.partition("gets ")[2].replace("version: 2", "version: 1").replace("STACK=s", "STACK=mine")
    assert forward.strip() in page
