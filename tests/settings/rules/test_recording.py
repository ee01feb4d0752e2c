"""A recorder that could not record is refused at preview."""

from __future__ import annotations

from typing import Any

from tests.settings.conftest import Check

PATH = "deployment.recordRequests"
URL = {"variables": {"COLLECT_URL": "collected"}}


def wanted(recording: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"deployment": {"recordRequests": recording}, "environment": URL, **others}


def test_a_recorder_with_a_place_is_no_mistake(mistakes: Check) -> None:
    assert mistakes(wanted({})) == []
    assert mistakes(wanted({"sample": 1, "maxMegabytes": 16}, entryScript=None)) == []


def test_numbers_have_limits(mistakes: Check) -> None:
    assert mistakes(wanted({"sample": 0, "maxMegabytes": 15})) == [
        f"{PATH}.sample has the value 0: expected a number above 0",
        f"{PATH}.maxMegabytes has the value 15: expected at least 16",
    ]
    assert mistakes(wanted({"sample": 1.5})) == [f"{PATH}.sample has the value 1.5: expected at most 1"]


def test_without_a_place_there_is_nothing_to_write_to(mistakes: Check) -> None:
    assert mistakes({"deployment": {"recordRequests": {}}}) == [
        f"{PATH}: has no place to write to; set environment.variables.COLLECT_URL, as data collection has it"
    ]


def test_without_a_model_of_triton_there_is_nothing_to_record(mistakes: Check) -> None:
    scoring = {"models": [{"path": "scripts", "name": "other", "framework": "Custom"}]}
    assert mistakes(wanted({}, **scoring)) == [
        f"{PATH}: records requests to Triton, and no model is Triton's; leave it out: data collection (COLLECT_URL) "
        "records those to the entry script"
    ]


def test_its_variables_are_checked_without_an_entry_script_too(mistakes: Check) -> None:
    variables = {"COLLECT_URL": "collected", "COLLECT_SECONDS": "soon", "WORKER_COUNT": "many"}
    assert mistakes(wanted({}, entryScript=None, environment={"variables": variables})) == [
        "environment.variables.COLLECT_SECONDS has the value 'soon': expected a number of seconds above zero"
    ]


def test_a_recorder_gives_replay_something_to_send(mistakes: Check, project: Any) -> None:
    (project / "models" / "triton" / "digits" / "golden.json").unlink()
    gates = {"rollout": {"replay": {}}}
    without = {"deployment": gates, "environment": URL, "entryScript": None}
    assert ["has nothing to send" in line for line in mistakes(without)] == [True]
    assert mistakes({**without, "deployment": {**gates, "recordRequests": {}}}) == []
