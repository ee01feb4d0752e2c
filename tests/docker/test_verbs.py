"""What `make check`, `status` and `logs` show of a stack on a Docker engine."""

import json
import subprocess
import sys

from tests.docker.project import DockerProject


def operate(project: DockerProject, verb: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "operate", verb, "--stack", project.stack],
        cwd=project.root,
        env=project.environment | {"COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )


def test_status_shows_the_containers(deployed: DockerProject) -> None:
    shown = operate(deployed, "status")
    assert (shown.returncode, shown.stdout.splitlines()[0]) == (0, f"{deployed.service}: Healthy")
    assert all(name in shown.stdout for name in deployed.containers())


def test_status_says_what_is_wrong(deployed: DockerProject) -> None:
    deployed.container("triton").stop()
    try:
        shown = operate(deployed, "status")
        assert (shown.returncode, shown.stdout.splitlines()[0]) == (1, f"{deployed.service}: Unhealthy")
        assert "-triton ended with exit code" in shown.stdout
    finally:
        deployed.up()


def test_status_says_that_the_front_door_is_closed(deployed: DockerProject) -> None:
    deployed.container("front-door").stop()
    try:
        shown = operate(deployed, "status")
        assert shown.returncode == 1
        assert f"{deployed.service}-front-door ended with exit code" in shown.stdout
    finally:
        deployed.up()


def test_logs_show_each_container_under_its_name(deployed: DockerProject) -> None:
    shown = operate(deployed, "logs")
    assert shown.returncode == 0
    for role in ("triton", "scorer", "front-door"):
        assert f"==> {deployed.container(role).name} <==" in shown.stdout
    assert "Started HTTPService" in shown.stdout


def test_check_serves_the_models_before_they_are_registered(deployed: DockerProject) -> None:
    before = deployed.containers()
    shown = operate(deployed, "check")
    assert shown.returncode == 0, shown.stdout
    assert "by hand: docker run --rm" in shown.stdout
    assert "tritonserver --model-repository=/models" in shown.stdout
    assert "model versions ready: 1; golden inferences right: 1;" in shown.stdout
    assert "/v2/health/ready: 200" in shown.stdout
    assert "/metrics: 200" in shown.stdout
    assert deployed.containers() == before


def test_check_fails_with_the_reason_and_leaves_nothing(deployed: DockerProject) -> None:
    digits = deployed.root / "models" / "triton" / "digits"
    kept = (digits / "golden.json").read_text()
    golden = json.loads(kept)
    golden["response"]["outputs"][0]["data"][0] += 1
    (digits / "golden.json").write_text(json.dumps(golden))
    before = deployed.containers()
    try:
        shown = operate(deployed, "check")
        assert shown.returncode == 1
        assert "model digits version 1: golden inference" in shown.stdout
        assert "Traceback" not in shown.stdout
        assert deployed.containers() == before
    finally:
        (digits / "golden.json").write_text(kept)


def test_logs_of_what_is_not_deployed_are_refused_in_a_line(deployed: DockerProject) -> None:
    name = deployed.service
    deployed.write_settings(serviceName="nobody-here")
    try:
        shown = operate(deployed, "logs")
        assert shown.returncode == 1
        assert "service 'nobody-here' is not deployed on the engine at" in shown.stdout
    finally:
        deployed.write_settings(serviceName=name)
