"""What `make check`, `status` and `logs` show of a stack on a Docker engine."""

import json

from tests.docker.project import DockerProject


def test_status_shows_the_containers(deployed: DockerProject) -> None:
    shown = deployed.operate("status")
    assert (shown.code, shown.text.splitlines()[0]) == (0, f"{deployed.service}: Healthy")
    assert all(name in shown.text for name in deployed.containers())


def test_status_says_what_is_wrong(deployed: DockerProject) -> None:
    deployed.container("triton").stop()
    try:
        shown = deployed.operate("status")
        assert (shown.code, shown.text.splitlines()[0]) == (1, f"{deployed.service}: Unhealthy")
        assert "-triton ended with exit code" in shown.text
    finally:
        deployed.up()


def test_status_says_that_the_front_door_is_closed(deployed: DockerProject) -> None:
    deployed.container("front-door").stop()
    try:
        shown = deployed.operate("status")
        assert shown.code == 1
        assert f"{deployed.service}-front-door ended with exit code" in shown.text
    finally:
        deployed.up()


def test_logs_show_each_container_under_its_name(deployed: DockerProject) -> None:
    shown = deployed.operate("logs")
    assert shown.code == 0
    for role in ("triton", "scorer", "front-door"):
        assert f"==> {deployed.container(role).name} <==" in shown.text
    assert "Started HTTPService" in shown.text


def test_requests_are_shown_to_programs_as_json_alone(deployed: DockerProject) -> None:
    shown = deployed.operate("logs", "--json")
    assert shown.code == 0
    lines = [json.loads(line) for line in shown.text.splitlines()]
    assert {line["client"] for line in lines if line["status"] == 200} <= {"default"}
    assert all(line["generation"] for line in lines if line["upstream"])


def test_check_serves_the_models_before_they_are_registered(deployed: DockerProject) -> None:
    before = deployed.containers()
    shown = deployed.operate("check")
    assert shown.code == 0, shown.text
    assert "by hand: docker run --rm" in shown.text
    assert "tritonserver --model-repository /models" in shown.text
    assert "model versions ready: 1; golden inferences right: 1;" in shown.text
    assert "/v2/health/ready: 200" in shown.text
    assert "/metrics: 200" in shown.text
    assert deployed.containers() == before


def test_check_fails_with_the_reason_and_leaves_nothing(deployed: DockerProject) -> None:
    digits = deployed.root / "models" / "triton" / "digits"
    kept = (digits / "golden.json").read_text()
    golden = json.loads(kept)
    golden["response"]["outputs"][0]["data"][0] += 1
    (digits / "golden.json").write_text(json.dumps(golden))
    before = deployed.containers()
    try:
        shown = deployed.operate("check")
        assert shown.code == 1
        assert "model digits version 1: golden inference" in shown.text
        assert "Traceback" not in shown.text
        assert deployed.containers() == before
    finally:
        (digits / "golden.json").write_text(kept)


def test_logs_of_what_is_not_deployed_are_refused_in_a_line(deployed: DockerProject) -> None:
    name = deployed.service
    deployed.write_settings(serviceName="nobody-here")
    try:
        shown = deployed.operate("logs")
        assert shown.code == 1
        assert "service 'nobody-here' is not deployed on the engine at" in shown.text
    finally:
        deployed.write_settings(serviceName=name)
