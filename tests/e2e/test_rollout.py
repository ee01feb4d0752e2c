"""Updates of a deployed service: changed models and scripts roll out, broken ones leave the old version serving."""

import json
import os
import shutil
import signal

import httpx
import pytest
import yaml

from tests.e2e.project import SOURCE, hammering, project
from tests.waiting import NOBODY_ANSWERS, eventually

BROKEN_MODEL = """\
class TritonPythonModel:
    def initialize(self, args):
        raise RuntimeError("the weights are from another planet")
"""
BROKEN_CONFIG = """\
backend: "python"
input [{ name: "x", data_type: TYPE_FP32, dims: [ 1 ] }]
output [{ name: "y", data_type: TYPE_FP32, dims: [ 1 ] }]
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A Triton-only service with the digits model, deployed once."""
    with project(tmp_path_factory.mktemp("e2e") / "project") as made:
        made.previews = False
        made.add_model("digits")
        made.up()
        yield made


def infer(client):
    golden = json.loads((SOURCE / "model_repository/triton/digits/golden.json").read_text())
    answer = client.post("/v2/models/digits/infer", json=golden["request"])
    if answer.status_code != 200:
        return f"{answer.status_code} {answer.text[:200]}"
    labels = next(output for output in answer.json()["outputs"] if output["name"] == "label")
    expected = next(output for output in golden["response"]["outputs"] if output["name"] == "label")
    return None if labels["data"] == expected["data"] else f"labels {labels['data']}"


def add_broken_model(project):
    folder = project.root / "models" / "triton" / "broken"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.py").write_text(BROKEN_MODEL)
    (folder / "config.pbtxt").write_text(BROKEN_CONFIG)
    return folder


def test_a_first_deployment_that_fails_leaves_nothing_running(tmp_path):
    with project(tmp_path / "project") as made:
        made.add_model("digits")
        add_broken_model(made)
        assert "the weights are from another planet" in made.up(fails=True)
        assert made.processes() == []
        assert not made.directory.root.exists()


def test_a_changed_model_rolls_out_and_no_request_fails(service):
    digits = service.root / "models" / "triton" / "digits"
    shutil.copytree(digits / "1", digits / "2")
    before = service.record.current
    with hammering(infer, service.client, pause=0.01) as seen:
        text = service.up()
    assert seen.answers > 50
    assert seen.wrong == []
    after = service.record.current
    assert after.number == before.number + 1
    assert after.ports.isdisjoint(before.ports)
    assert service.outputs()["modelId"] == "m:2"
    assert "generation" in text
    with service.client() as client:
        assert client.get("/v2/models/digits/versions/2/ready").status_code == 200


def test_a_model_that_does_not_load_leaves_the_old_one_serving_now_and_after_the_next_up(service):
    folder = add_broken_model(service)
    serving = service.pids
    with service.client() as client:
        for _ in range(2):
            text = service.up(fails=True)
            assert "the weights are from another planet" in text
            assert "broken" in text
            assert infer(client) is None
            assert service.pids == serving
    shutil.rmtree(folder)
    service.up()
    assert service.pids == serving
    assert service.outputs()["state"] == "Healthy"


def test_a_model_with_other_answers_than_its_golden_inference_takes_no_traffic(service):
    golden = service.root / "models" / "triton" / "digits" / "golden.json"
    right = golden.read_text()
    content = json.loads(right)
    content["response"]["outputs"][0]["data"][0] += 1
    golden.write_text(json.dumps(content))
    serving = service.pids
    assert "golden" in service.up(fails=True)
    assert service.pids == serving
    golden.write_text(right)
    service.up()
    assert service.pids == serving


def test_a_script_that_fails_in_init_shows_its_traceback(service):
    service.write_script("def init():\n    raise ValueError('no such table')\n\ndef run(data):\n    return data\n")
    service.write_settings(entryScript="score.py")
    serving = service.pids
    text = service.up(fails=True)
    assert "ValueError: no such table" in text
    assert "score.py" in text
    assert service.pids == serving


LENGTH = "import json\n\ndef init():\n    pass\n\ndef run(data):\n    return {'length': len(json.loads(data))}\n"


def test_a_script_with_another_answer_than_its_golden_request_takes_no_traffic(service):
    service.write_script(LENGTH, golden={"request": [1, 2], "response": {"length": 3}})
    serving = service.pids
    text = service.up(fails=True)
    assert '/score: expected {"length": 3}, received {"length":2}' in text
    assert service.pids == serving


def test_a_repaired_script_is_rolled_out(service):
    service.write_script(LENGTH, golden={"request": [1, 2], "response": {"length": 2}})
    service.up()
    with service.client() as client:
        answer = client.post("/score", content=b"[1, 2]", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()) == (200, {"length": 2})


def test_an_older_version_is_deployed_by_its_id(service):
    service.write_settings(models=["m:1"])
    preview = service.engine("preview", "--stack", service.stack).text
    assert "triton:index:RegisteredModel m-version update" in preview
    assert "delete" not in preview
    service.up()
    assert service.outputs()["modelId"] == "m:1"
    with service.client() as client:
        assert client.get("/v2/models/digits/versions/1/ready").status_code == 200
        assert client.get("/v2/models/digits/versions/2/ready").status_code != 200


def test_an_unresolvable_package_leaves_the_service_alone(service):
    serving = service.pids
    service.write_settings(
        environment={"name": "Mine", "clone": "AzureML-Triton", "pipPackages": ["no-such-package-x"]}
    )
    assert "no-such-package-x" in service.up(fails=True)
    assert service.pids == serving
    service.write_settings(environment=None)


def test_a_killed_up_is_repaired_by_the_next(service):
    service.write_settings(models=[{"path": "models", "name": "m"}])
    killed = service.start_up()
    number = service.record.next_number
    eventually(lambda: service.record.next_number > number, "the rollout has begun", 60, ignoring=NOBODY_ANSWERS)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=60)
    with service.client() as client:
        assert client.get("/v2/health/ready").status_code == 200
        service.up()
        assert service.outputs()["modelId"] == "m:2"
        assert infer(client) is None
    current = service.record.current
    assert set(service.pids) == {*current.programs, "envoy", "supervisord"}
    assert service.directory.generation_numbers() == [current.number]


def test_recreate_stops_the_old_one_first_and_brings_it_back_when_the_new_one_fails(service):
    service.write_settings(deployment={**service.settings["deployment"], "rollout": {"strategy": "recreate"}})
    folder = add_broken_model(service)
    text = service.up(fails=True)
    assert "stopping generation" in text
    with service.client() as client:
        assert infer(client) is None
    shutil.rmtree(folder)


def test_a_service_of_another_stack_is_not_overwritten(service):
    engine = service.engine("stack", "init", "other")
    assert engine.code == 0, engine.text
    own = (service.root / "stacks" / f"Pulumi.{service.stack}.yaml").read_text().splitlines()
    settings = "\n".join(line for line in own if not line.startswith("encryptionsalt"))
    (service.root / "stacks" / "Pulumi.other.yaml").write_text(settings + "\n")
    serving = service.pids
    refused = service.engine("up", "--yes", "--stack", "other")
    assert refused.code != 0
    assert "serviceName 'svc' is taken by the stack organization/triton-serving/e2e" in refused.text
    assert "Traceback" not in refused.text
    assert service.pids == serving


def test_a_refused_service_leaves_no_resource_without_a_preview_too(service):
    refused = service.engine("up", "--yes", "--skip-preview", "--stack", "other")
    assert "is taken by the stack" in refused.text
    assert service.resources("other") == []


def test_a_service_that_another_stack_took_over_is_told_taken_back_and_left_alone_by_destroy(service):
    other = service.root / "stacks" / "Pulumi.other.yaml"
    content = yaml.safe_load(other.read_text())
    content["config"]["triton-serving:deployment"]["overwrite"] = True
    other.write_text(yaml.safe_dump(content))
    taken = service.engine("up", "--yes", "--stack", "other")
    assert taken.code == 0, taken.text

    service.write_settings(deployment={"overwrite": True})
    refreshed = service.engine("refresh", "--yes", "--run-program", "--stack", service.stack)
    assert "svc is Stopped: the stack organization/triton-serving/other has it now" in refreshed.text
    assert service.outputs()["state"] == "Stopped"
    service.up()
    service.write_settings(deployment={"overwrite": False})

    destroyed = service.engine("destroy", "--yes", "--stack", "other")
    assert destroyed.code == 0, destroyed.text
    assert "belongs to another stack now: it is left alone" in destroyed.text
    with service.client() as client:
        assert infer(client) is None


def test_an_encrypted_variable_is_refused_and_reaches_no_state(service):
    file = service.root / "stacks" / f"Pulumi.{service.stack}.yaml"
    before = file.read_text()
    path = ("--path", "environment.variables.TOKEN", "hidden-words")
    assert service.engine("config", "set", "--secret", *path, "--stack", service.stack).code == 0
    refused = service.up(fails=True)
    assert "environment: is encrypted, and only primaryKey, secondaryKey and imagePassword may be" in refused
    shown = service.operate("status")
    assert (shown.code, "environment.variables.TOKEN: is encrypted" in shown.text) == (1, True)
    state = [f.read_text(errors="replace") for f in (service.root / ".var" / "backend").rglob("*") if f.is_file()]
    assert not [text for text in (refused, shown.text, *state) if "hidden-words" in text]
    file.write_text(before)


def test_mistakes_in_settings_are_all_told_at_preview(service):
    service.write_settings(deployment={"port": "eighty", "gpuCors": 1}, entryScript="scor.py")
    preview = service.engine("preview", "--stack", service.stack)
    assert preview.code != 0
    for words in ("deployment.port", "deployment.gpuCors", "gpuCores", "entryScript"):
        assert words in preview.text
    assert "Traceback" not in preview.text
    assert httpx.get(f"{service.url}/v2/health/live").status_code == 401
