"""A service on a real Docker engine, from the settings to the answers, and what happens to it in its life."""

import json
import shutil

import httpx
import pytest

from tests.attacks import attacks
from tests.docker.project import DockerProject
from tests.e2e.conftest import SCORE
from tests.e2e.project import SOURCE, hammering
from tests.waiting import NOBODY_ANSWERS, eventually

BROKEN = 'raise RuntimeError("the weights are from another planet")'


def scored(client: httpx.Client) -> str | None:
    answer = client.post("/score", json={"row": 0})
    return None if answer.status_code == 200 else f"{answer.status_code} {answer.text[:200]}"


def test_triton_and_the_script_answer_those_who_have_a_key(deployed: DockerProject) -> None:
    golden = json.loads((SOURCE / "model_repository/triton/digits/golden.json").read_text())
    with deployed.client() as client:
        assert client.get("/v2/health/ready").status_code == 200
        assert client.post("/v2/models/digits/infer", json=golden["request"]).status_code == 200
        assert "digit" in client.post("/score", json={"row": 0}).json()
    assert httpx.get(f"{deployed.url}/v2/health/ready").status_code == 401


def test_one_request_does_not_end_the_service(deployed: DockerProject) -> None:
    golden = json.loads((SOURCE / "model_repository/triton/digits/golden.json").read_text())
    started = {role: deployed.container(role).attrs["State"]["StartedAt"] for role in ("triton", "front-door")}
    with deployed.client() as client:
        for attack in attacks("image", 64):
            answer = client.post(f"/v2/models/digits/{attack.verb}", content=attack.body, headers=dict(attack.headers))
            assert answer.status_code in attack.statuses, (attack.name, answer.text)
        assert client.post("/v2/models/digits/infer", json=golden["request"]).status_code == 200
    for role, at in started.items():
        state = deployed.container(role).attrs["State"]
        assert (state["StartedAt"], state["OOMKilled"]) == (at, False)


def test_the_outputs_are_those_of_the_other_targets(deployed: DockerProject) -> None:
    outputs = deployed.outputs()
    assert outputs["state"] == "Healthy"
    assert outputs["scoringUri"] == f"http://localhost:{deployed.port}/score"
    assert outputs["modelId"] == "m:1"
    assert outputs["environment"]["name"] == "AzureML-Triton"
    assert "nv_inference_count" in httpx.get(outputs["metricsUri"]).text


def test_up_again_changes_nothing(deployed: DockerProject) -> None:
    before = deployed.containers()
    deployed.up()
    assert deployed.containers() == before


def test_the_front_door_alone_is_published_and_on_loopback(deployed: DockerProject) -> None:
    bound = {}
    for role in ("network", "triton", "scorer", "front-door"):
        ports = deployed.container(role).attrs["NetworkSettings"]["Ports"] or {}
        bound[role] = {binding["HostIp"] for bindings in ports.values() for binding in bindings or ()}
    assert bound == {"network": set(), "triton": set(), "scorer": set(), "front-door": {"127.0.0.1"}}


def test_containers_are_limited_hardened_and_watched(deployed: DockerProject) -> None:
    host = {role: deployed.container(role).attrs["HostConfig"] for role in ("triton", "scorer")}
    assert sum(limits["Memory"] for limits in host.values()) == 2 * 2**30
    for role, limits in host.items():
        assert limits["NanoCpus"] == 2_000_000_000
        assert limits["ReadonlyRootfs"]
        assert limits["CapDrop"] == ["ALL"]
        assert limits["RestartPolicy"]["Name"] == "unless-stopped"
        assert limits["LogConfig"]["Config"] == {"max-file": "3", "max-size": "10m"}
        container = deployed.container(role)
        assert container.exec_run("id -u").output == b"1000\n"
        eventually(lambda r=role: deployed.container(r).attrs["State"]["Health"]["Status"] == "healthy", "healthy", 60)
    assert deployed.container("triton").attrs["Config"]["StopTimeout"] > 20


def test_libraries_that_come_with_a_model_can_be_loaded_from_tmp(deployed: DockerProject) -> None:
    copied = "shutil.copy(_ctypes.__file__, '/tmp/library.so')"
    ended = deployed.container("triton").exec_run(
        ["python", "-c", f"import _ctypes, ctypes, shutil; ctypes.CDLL({copied})"]
    )
    assert (ended.exit_code, ended.output) == (0, b"")


def test_keys_are_in_a_file_of_the_owners_and_nowhere_else(deployed: DockerProject) -> None:
    outputs = deployed.outputs()
    for role in ("triton", "scorer", "front-door"):
        facts = json.dumps(deployed.container(role).attrs)
        assert outputs["primaryKey"] not in facts
        assert outputs["secondaryKey"] not in facts
    file = deployed.root / ".var" / "docker" / deployed.service / "envoy" / "keys.json"
    assert outputs["primaryKey"] in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("role", ["triton", "scorer", "front-door"])
def test_what_crashes_comes_back(deployed: DockerProject, role: str) -> None:
    started = deployed.container(role).attrs["State"]["StartedAt"]
    deployed.crash(role)
    eventually(
        lambda: deployed.container(role).attrs["State"]["StartedAt"] != started,
        f"{role} started again",
        60,
        ignoring=NOBODY_ANSWERS,
    )
    with deployed.client() as client:
        eventually(lambda: scored(client) is None, "an answer", 60, ignoring=NOBODY_ANSWERS)


def test_what_was_stopped_is_seen_by_refresh_and_started_by_up(deployed: DockerProject) -> None:
    deployed.container("triton").stop()
    assert f"{deployed.service} is Unhealthy" in deployed.engine("refresh", "--yes", "--stack", deployed.stack).text
    deployed.up()
    with deployed.client() as client:
        assert scored(client) is None


def test_a_closed_front_door_is_seen_by_refresh_and_opened_by_up(deployed: DockerProject) -> None:
    deployed.container("front-door").stop()
    refreshed = deployed.engine("refresh", "--yes", "--run-program", "--stack", deployed.stack)
    assert f"the front door of {deployed.service} is Stopped: the front door is closed" in refreshed.text
    assert deployed.outputs()["state"] == "Unhealthy"
    deployed.up()
    assert deployed.outputs()["state"] == "Healthy"


def test_up_starts_everything_again_when_the_network_was_lost(deployed: DockerProject) -> None:
    deployed.container("network").kill()
    deployed.up()
    with deployed.client() as client:
        assert scored(client) is None


def test_a_changed_script_rolls_out_and_no_request_fails(deployed: DockerProject) -> None:
    before = deployed.containers()
    deployed.write_script(SCORE + "\n# changed\n")
    with hammering(scored, deployed.client) as seen:
        deployed.up()
    assert seen.answers > 0
    assert seen.wrong == []
    after = deployed.containers()
    assert {name for name in before if name in after} == {f"{deployed.service}-front-door"}


def test_a_model_that_does_not_load_fails_with_its_reason_and_the_old_one_serves_on(deployed: DockerProject) -> None:
    before = deployed.containers()
    folder = deployed.root / "models" / "triton" / "broken"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.py").write_text(
        f"class TritonPythonModel:\n    def initialize(self, args):\n        {BROKEN}\n"
    )
    (folder / "config.pbtxt").write_text(
        'backend: "python"\n'
        'input [{ name: "x", data_type: TYPE_FP32, dims: [ 1 ] }]\n'
        'output [{ name: "y", data_type: TYPE_FP32, dims: [ 1 ] }]\n'
    )
    try:
        for _ in range(2):  # after the next `up` too
            said = deployed.up(fails=True)
            assert "model broken version 1" in said
            assert "the weights are from another planet" in said
            assert "by hand: docker run --rm" in said
            assert deployed.containers() == before
            with deployed.client() as client:
                assert scored(client) is None
    finally:
        shutil.rmtree(folder)
    deployed.up()
    assert deployed.containers() == before


def test_one_key_is_rotated_while_the_other_opens(deployed: DockerProject) -> None:
    old, before = deployed.outputs(), deployed.containers()
    deployed.write_settings(keyRotation={"secondary": 2})
    deployed.up()
    new = deployed.outputs()
    assert (old["primaryKey"], old["secondaryKey"] == new["secondaryKey"]) == (new["primaryKey"], False)
    for key, status in ((old["secondaryKey"], 401), (new["secondaryKey"], 200), (new["primaryKey"], 200)):
        answer = httpx.get(f"{deployed.url}/v2/health/ready", headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == status
    assert deployed.containers() == before


def test_a_client_comes_and_goes_while_the_containers_stay(deployed: DockerProject) -> None:
    before = deployed.containers()
    deployed.write_settings(clients=[{"name": "checkout", "models": ["digits"]}])
    deployed.up()
    key = deployed.outputs()["clientKeys"]["checkout"]["primary"]
    headers = {"Authorization": f"Bearer {key}"}
    asked = (("/v2/models/digits", 200), ("/v2/models/churn", 403), ("/v2/health/ready", 200))
    for path, status in asked:
        assert httpx.get(deployed.url + path, headers=headers).status_code == status
    assert httpx.post(f"{deployed.url}/score", json={"row": 0}, headers=headers).status_code == 403
    assert key not in "".join(json.dumps(deployed.container(role).attrs) for role in ("triton", "scorer", "front-door"))
    assert deployed.containers() == before
    deployed.write_settings(clients=None)
    deployed.up()
    assert httpx.get(f"{deployed.url}/v2/health/ready", headers=headers).status_code == 401
    assert deployed.containers() == before


def test_destroy_leaves_nothing(deployed: DockerProject) -> None:
    deployed.destroy()
    assert deployed.containers() == {}
    assert deployed.sdk.networks.list(names=[deployed.service]) == []
    assert not (deployed.root / ".var" / "docker").exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(deployed.url)
