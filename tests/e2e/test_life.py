"""The life of one deployed service, Triton with a script, in order: up, called, up again, killed, keys, destroyed."""

import contextlib
import json
import shutil
import socket
import subprocess

import httpx
import numpy
import psutil
import pytest
import tritonclient.http

from targets.process.supervisor import Supervisor
from tests.certificates import make_certificate
from tests.e2e.conftest import SCORE, golden_digit
from tests.e2e.project import hammering
from tests.waiting import NOBODY_ANSWERS, eventually


def ask_score(client):
    answer = client.post("/score", json={"row": 1})
    return None if answer.status_code == 200 and "digit" in answer.json() else f"{answer.status_code} {answer.text}"


def test_up_gives_every_output(deployed):
    outputs = deployed.outputs()
    assert outputs["state"] == "Healthy"
    assert outputs["modelId"] == "m:1"
    assert outputs["scoringUri"] == f"http://localhost:{deployed.port}/score"
    assert outputs["models"][0]["models"][0] == {"name": "digits", "versions": [1], "platform": "onnxruntime_onnx"}
    assert len(outputs["primaryKey"]) >= 32
    assert outputs["primaryKey"] != outputs["secondaryKey"]


def test_health_is_ready_with_a_key_and_refused_without(deployed):
    with deployed.client() as client:
        assert client.get("/v2/health/ready").status_code == 200
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        refused = httpx.get(f"{deployed.url}/v2/health/ready", headers=headers)
        assert refused.status_code == 401
        assert "error" in refused.json()


def test_either_key_opens(deployed):
    outputs = deployed.outputs()
    for key in (outputs["primaryKey"], outputs["secondaryKey"]):
        answer = httpx.post(
            f"{deployed.url}/score", json={"row": 0}, headers={"Authorization": f"Bearer {key}"}, timeout=30
        )
        assert answer.status_code == 200


def test_tritons_own_client_gets_the_golden_inference(deployed):
    golden = json.loads((deployed.root / "models/triton/digits/golden.json").read_text())
    given = golden["request"]["inputs"][0]
    expected = next(output for output in golden["response"]["outputs"] if output["name"] == "label")["data"]
    client = tritonclient.http.InferenceServerClient(f"localhost:{deployed.port}")
    tensor = tritonclient.http.InferInput(given["name"], given["shape"], given["datatype"])
    tensor.set_data_from_numpy(numpy.array(given["data"], numpy.float32).reshape(given["shape"]))
    key = deployed.outputs()["primaryKey"]
    answer = client.infer("digits", [tensor], headers={"Authorization": f"Bearer {key}"}, request_id="r-1")
    assert answer.get_response()["id"] == "r-1"
    assert answer.as_numpy("label").ravel().tolist() == expected
    client.close()


@pytest.mark.parametrize(
    "path",
    [
        "/v2/repository/index",
        "/v2/repository/models/digits/unload",
        "/v2/systemsharedmemory/status",
        "/v2/trace/setting",
        "/v2/logging",
    ],
)
def test_what_would_change_triton_is_not_routed(deployed, path):
    with deployed.client() as client:
        assert client.post(path, json={}).status_code == 404


def test_up_again_changes_nothing(deployed):
    before = deployed.pids
    text = deployed.engine("up", "--yes", "--expect-no-changes", "--stack", deployed.stack)
    assert text.code == 0, text.text
    assert deployed.pids == before


def test_the_outputs_are_shown_with_commands_that_work(deployed):
    shown = deployed.operate("outputs", given=json.dumps(deployed.outputs()))
    assert shown.code == 0, shown.text
    assert "key=$(make -s key STACK=e2e)" in shown.text
    commands = [line for line in shown.text.splitlines() if line.startswith("  curl")]
    assert len(commands) == 6
    assert "/v2/models/digits/versions/1/infer -d @.var/cache/requests/svc/digits.json" in commands[3]
    key = {**deployed.environment, "key": deployed.outputs()["primaryKey"]}
    for command in commands[:5]:
        run = {"cwd": deployed.root, "env": key, "capture_output": True, "text": True, "check": True}
        done = subprocess.run(["bash", "-c", command], **run)
        assert done.stdout.endswith("\n200\n"), command


def test_status_shows_processes_and_models(deployed):
    shown = deployed.operate("status")
    assert (shown.code, shown.text.splitlines()[0]) == (0, "svc: Healthy")
    for word in (*deployed.record.current.programs, "envoy", "RUNNING", "digits", "asked"):
        assert word in shown.text


def test_status_tells_a_closed_front_door_and_up_opens_it(deployed):
    Supervisor(deployed.directory)._call("stopProcess", "envoy")
    shown = deployed.operate("status")
    assert shown.code == 1
    closed = f"the front door at port {deployed.port} is closed (envoy is STOPPED, see "
    assert closed in shown.text
    refreshed = deployed.engine("refresh", "--yes", "--run-program", "--stack", deployed.stack)
    assert f"the front door of svc is Stopped: {closed}" in refreshed.text
    assert deployed.outputs()["state"] == "Unhealthy"
    deployed.up()
    assert deployed.outputs()["state"] == "Healthy"
    assert deployed.operate("status").code == 0


def test_logs_are_shown_under_their_names(deployed):
    shown = deployed.operate("logs")
    assert shown.code == 0
    for name in (*deployed.record.current.programs, "envoy", "access", "supervisord"):
        assert f"{name}.log <==" in shown.text


def test_requests_are_shown_to_programs_as_json_alone(deployed):
    with deployed.client() as client:
        assert ask_score(client) is None
    path = "/score"
    eventually(lambda: path in deployed.operate("logs", "--json").text, "the request is in the log", 10)
    lines = [json.loads(line) for line in deployed.operate("logs", "--json").text.splitlines()]
    scored = [line for line in lines if line["path"] == path and line["status"] == 200]
    assert {line["client"] for line in scored} == {"default"}
    assert scored[-1]["generation"] == str(deployed.record.current.number)


def test_check_serves_the_models_beside_the_service_and_leaves_nothing(deployed):
    before, serving = {p.name for p in (deployed.root / ".var").iterdir()}, deployed.pids
    checked = deployed.operate("check")
    assert checked.code == 0, checked.text
    assert "model versions ready: 1; golden inferences right: 1; score.py is ready; its golden" in checked.text
    assert {p.name for p in (deployed.root / ".var").iterdir()} == before
    assert deployed.pids == serving


def test_purge_is_refused_while_a_stack_or_a_service_is_deployed(deployed):
    refused = deployed.operate("idle")
    assert refused.code == 1
    assert "the stack 'e2e' (" in refused.text
    assert "the service 'svc' of the stack organization/triton-serving/e2e" in refused.text


def test_nothing_in_state_listings_and_logs_shows_a_key(deployed):
    outputs = deployed.outputs()
    keys = [outputs["primaryKey"], outputs["secondaryKey"]]
    listings = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    texts = [*listings, *(f.read_text(errors="replace") for f in (deployed.root / ".var/backend").rglob("*.json"))]
    texts += [log.read_text(errors="replace") for log in deployed.directory.logs.iterdir()]
    assert not any(key in text for key in keys for text in texts)


def test_key_files_are_their_owners_alone(deployed):
    keys = [f for f in deployed.directory.root.rglob("*") if f.is_file() and "keys" in f.name]
    assert keys
    assert all(file.stat().st_mode & 0o077 == 0 for file in [*keys, deployed.directory.root])


@pytest.mark.parametrize("kind", ["triton", "scorer", "envoy"])
def test_a_killed_process_comes_back(deployed, kind):
    name = next(name for name in deployed.pids if name.startswith(kind))
    old = deployed.kill(name)
    with deployed.client() as client:
        eventually(lambda: deployed.pids.get(name) not in (old, 0, None), f"{name} has another process id", 60)
        eventually(
            lambda: ask_score(client) is None, f"/score answers after {name} was killed", 60, ignoring=NOBODY_ANSWERS
        )


def test_a_model_whose_own_process_died_comes_back(deployed):
    name = next(name for name in deployed.pids if name.startswith("triton"))
    triton = deployed.pids[name]
    family = psutil.Process(triton).children(recursive=True)
    (own,) = [child for child in family if "digits_0" in " ".join(child.cmdline())]
    own.kill()
    log = deployed.directory.logs / f"{name}.log"
    with deployed.client() as client:
        eventually(lambda: "model digits: is back after" in log.read_text(errors="replace"), "the model is back", 60)
        assert ask_score(client) is None
    assert deployed.pids[name] == triton


def test_a_killed_worker_comes_back(deployed):
    name = next(name for name in deployed.pids if name.startswith("scorer"))
    worker = psutil.Process(deployed.pids[name]).children(recursive=True)[-1]
    worker.kill()
    with deployed.client() as client:
        eventually(
            lambda: ask_score(client) is None, "/score answers after its worker was killed", 60, ignoring=NOBODY_ANSWERS
        )
    assert psutil.Process(deployed.pids[name]).is_running()


def test_a_killed_supervisor_is_restored_by_the_next_up(deployed):
    family = [psutil.Process(pid) for name, pid in deployed.pids.items() if name != "supervisord"]
    deployed.kill("supervisord")
    psutil.wait_procs(family, timeout=60)
    refreshed = deployed.engine("refresh", "--yes", "--run-program", "--stack", deployed.stack)
    assert refreshed.code == 0
    assert "svc is Stopped: its supervisor does not run" in refreshed.text
    assert deployed.outputs()["state"] == "Stopped"
    deployed.up()
    assert deployed.outputs()["state"] == "Healthy"
    with deployed.client() as client:
        assert ask_score(client) is None


def test_a_triton_that_cannot_come_back_is_measured_and_heals_when_it_can(deployed):
    name = deployed.record.current.programs[0]
    (server,) = deployed.root.glob(".var/environments/*/triton/pytriton/tritonserver/bin/tritonserver")
    away = server.rename(server.with_name("away"))
    deployed.kill(name)
    refreshed = deployed.engine("refresh", "--yes", "--run-program", "--stack", deployed.stack)
    assert refreshed.code == 0, refreshed.text
    assert "svc is Unhealthy: " in refreshed.text
    assert deployed.outputs()["state"] == "Unhealthy"
    away.rename(server)
    with deployed.client() as client:
        eventually(lambda: ask_score(client) is None, "/score answers again", 60, ignoring=NOBODY_ANSWERS)
    deployed.up()
    assert deployed.outputs()["state"] == "Healthy"


EDITION = """
    versions = client.get_model_metadata("digits")["versions"]
    return {"digit": int(answer.as_numpy("label")[0, 0]), "edition": EDITION, "versions": versions}
"""


def test_localhost_8000_is_a_scripts_own_triton_beside_another_generation_and_a_stranger(deployed):
    digits = deployed.root / "models" / "triton" / "digits"
    golden = golden_digit(deployed.root)

    def write(edition):
        script = f"EDITION = {edition}\n" + SCORE.rpartition("    return")[0] + EDITION
        answer = {"digit": golden, "edition": edition, "versions": [str(edition)]}
        deployed.write_script(script, golden={"request": {"row": 0}, "response": answer})
        return answer

    def ask(client):
        answer = client.post("/score", json={"row": 0})
        seen.append(answer.text)
        return None if answer.status_code == 200 and answer.json() in known else f"{answer.status_code} {answer.text}"

    seen = []
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # somebody holds the port already: a stranger too
            stranger.bind(("127.0.0.1", 8000))
            stranger.listen()
        known = [write(1)]
        deployed.up()
        shutil.copytree(digits / "1", digits / "2")
        known.append(write(2))
        with hammering(ask, deployed.client) as hammer:
            deployed.up()
    assert hammer.wrong == []
    assert {json.loads(text)["edition"] for text in seen} == {1, 2}


def test_a_rotated_key_stops_opening_and_drops_no_connection(deployed):
    before = deployed.outputs()

    def with_secondary():
        return httpx.Client(
            base_url=deployed.url, headers={"Authorization": f"Bearer {before['secondaryKey']}"}, timeout=30
        )

    with hammering(ask_score, with_secondary) as seen:
        deployed.write_settings(keyRotation={"primary": 2})
        deployed.up()
    assert seen.answers > 20
    assert seen.wrong == []
    after = deployed.outputs()
    assert after["primaryKey"] != before["primaryKey"]
    assert after["secondaryKey"] == before["secondaryKey"]
    old = httpx.get(f"{deployed.url}/v2/health/live", headers={"Authorization": f"Bearer {before['primaryKey']}"})
    assert old.status_code == 401


def test_an_open_door_asks_for_no_key(deployed):
    deployed.write_settings(deployment={"authEnabled": False})
    deployed.up()
    assert httpx.get(f"{deployed.url}/v2/health/ready").status_code == 200
    deployed.write_settings(deployment={"authEnabled": True})
    deployed.up()
    assert httpx.get(f"{deployed.url}/v2/health/ready").status_code == 401


def test_a_renamed_service_takes_the_place_of_the_one_before_and_is_called_by_its_certificates_host(deployed):
    former, golden, key = deployed.directory, golden_digit(deployed.root), deployed.outputs()["primaryKey"]
    make_certificate(deployed.root / "tls", host="models.example")
    deployed.write_settings(serviceName="renamed", tls={"certificateFile": "tls/tls.crt", "keyFile": "tls/tls.key"})
    deployed.up()
    outputs = deployed.outputs()
    assert (outputs["state"], outputs["primaryKey"]) == ("Healthy", key)
    assert outputs["scoringUri"] == f"https://models.example:{deployed.port}/score"
    assert (deployed.directory.root, former.name) == (former.root, "renamed")

    shown = deployed.operate("outputs", given=json.dumps(outputs))
    (command,) = [line for line in shown.text.splitlines() if line.startswith("  curl") and "/score " in line]
    environment = {**deployed.environment, "key": key}
    run = {"cwd": deployed.root, "env": environment, "capture_output": True, "text": True, "check": True}
    answer, status = subprocess.run(["bash", "-c", command], **run).stdout.strip().rsplit("\n", 1)
    assert (json.loads(answer)["digit"], status) == (golden, "200")


def test_destroy_leaves_no_process_no_port_and_no_file_but_caches(deployed):
    ports = {deployed.port, deployed.record.stats_port, *deployed.record.current.ports}
    deployed.destroy()
    assert deployed.processes() == []
    for port in ports:
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", port)) != 0
    left = {path.name for path in (deployed.root / ".var").iterdir()}
    assert left <= {"backend", "cache", "registry", "environments"}
