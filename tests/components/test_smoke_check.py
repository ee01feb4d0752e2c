import json

import pytest

from tests.provider.asking import changes


def test_it_runs_after_the_front_door_with_the_key_as_a_secret(declare_service, settings_with):
    run = declare_service(settings_with()).resources["svc-check-run"]
    assert (run.type, run.parent) == ("triton:index:SmokeCheck", "svc-check")
    assert run.secrets == {"key"}
    assert {"svc-gw-front-door", "svc-dep-service"} <= run.depends_on


def test_without_keys_it_asks_without_one(declare_service, settings_with):
    run = declare_service(settings_with(deployment={"authEnabled": False})).resources["svc-check-run"]
    assert run.inputs["key"] == ""


def test_the_settings_are_a_digest_among_its_inputs(declare_service, settings_with):
    environment = {"name": "Mine", "clone": "AzureML-Triton", "variables": {"PASSWORD": "of-the-database"}}
    run = declare_service(settings_with(environment=environment)).resources["svc-check-run"]
    assert len(run.inputs["settings"]) == 64
    assert "of-the-database" not in str(run.inputs)


@pytest.mark.parametrize("changed", [{"deployment": {"cpuCores": 2}}, {"entryScript": "score.py"}])
def test_changed_settings_call_for_another_check(declare_service, settings_with, scripts, changed):
    before = declare_service(settings_with()).resources["svc-check-run"].inputs
    after = declare_service(settings_with(**changed)).resources["svc-check-run"].inputs
    assert changes("SmokeCheck", before, {"checks": 5}, after)
    assert not changes("SmokeCheck", before, {"checks": 5})


def test_the_scripts_golden_request_is_asked(declare_service, settings_with, scripts):
    (scripts / "score.golden.json").write_text('{"request": {"a": 1}, "response": [2]}')
    run = declare_service(settings_with(entryScript="score.py")).resources["svc-check-run"]
    assert json.loads(run.inputs["score"]) == {"request": {"a": 1}, "response": [2]}
