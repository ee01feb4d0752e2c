"""Versions of a service, in order: A, then B with another script, package and variable, then A again, whole."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.project import Project, project

SCRIPT = '''\
"""{name}: answers with what it runs on."""
import os
from importlib.metadata import PackageNotFoundError, version

import tritonhttpclient


def init():
    global client
    client = tritonhttpclient.InferenceServerClient(url="localhost:8000")


def run(data):
    try:
        sniffio = version("sniffio")
    except PackageNotFoundError:
        sniffio = None
    return {{
        "script": "{name}",
        "sniffio": sniffio,
        "variable": os.environ.get("STYLE"),
        "triton": client.is_server_ready(),
    }}
'''
A = {"script": "A", "sniffio": "1.3.0", "variable": "plain", "triton": True}
B = {"script": "B", "sniffio": "1.3.1", "variable": "fancy", "triton": True}


def declare(service: Project, answer: dict[str, Any]) -> None:
    name = answer["script"]
    service.write_script(SCRIPT.format(name=name), golden={"request": {}, "response": answer})
    (service.root / "scripts" / "notes~").write_text(f"what an editor leaves of {name}")
    service.write_settings(
        entryScript="score.py",
        environment={
            "name": "Mine",
            "clone": "AzureML-Triton",
            "pipPackages": [f"sniffio=={answer['sniffio']}"],
            "variables": {"STYLE": answer["variable"], "WORKER_COUNT": "1", "API_KEY": "hush"},
        },
    )


def answer(service: Project) -> Any:
    with service.client() as client:
        return client.post("/score", json={}).json()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory):
    with project(tmp_path_factory.mktemp("e2e") / "project") as made:
        made.previews = False
        made.add_model("digits")
        declare(made, A)
        made.up()
        yield made


def versions(service: Project) -> str:
    shown = service.operate("versions", given=json.dumps(service.outputs()))
    assert shown.code == 0, shown.text
    return shown.text


def rollback(service: Project, version: str = "") -> str:
    """Write the version into the stack's file as `make rollback` does; gives what it says."""
    command = [sys.executable, "-m", "operate", "rollback", f"--version={version}", "--stack", service.stack]
    done = subprocess.run(
        command,
        cwd=service.root,
        env=service.environment,
        input=json.dumps(service.outputs()),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    number = done.stdout.strip()
    written = service.engine("config", "set", "--path", "deployment.version", number, "--stack", service.stack)
    assert written.code == 0, written.text
    return done.stderr


def rows(table: str) -> dict[int, str]:
    """The table's rows by the version's number."""
    cells = (line.split() for line in table.splitlines())
    return {int(row[0]): " ".join(row[1:]) for row in cells if row and row[0].isdigit()}


def test_the_first_deployment_is_version_1(service):
    assert answer(service) == A
    assert service.outputs()["version"] == 1
    shown = rows(versions(service))
    assert list(shown) == [1]
    assert "m:1" in shown[1]
    assert "score.py" in shown[1]
    assert "Mine" in shown[1]
    assert "probe, smoke check" in shown[1]
    assert shown[1].endswith("serves")


def test_the_same_content_is_the_same_version(service):
    text = service.up()
    assert "ServiceVersion" not in text
    assert service.outputs()["version"] == 1


def test_other_content_is_the_next_version(service):
    declare(service, B)
    shutil.copytree(service.root / "models/triton/digits/1", service.root / "models/triton/digits/2")
    service.up()
    assert answer(service) == B
    assert service.outputs()["version"] == 2
    shown = rows(versions(service))
    assert list(shown) == [2, 1]
    assert "m:2" in shown[2]
    assert shown[2].endswith("serves")
    assert not shown[1].endswith("serves")


def test_no_secret_is_kept(service):
    kept = [file.read_bytes() for file in (service.root / ".var/registry/.services").rglob("*") if file.is_file()]
    assert any(b"API_KEY" in content for content in kept)
    assert not any(b"hush" in content for content in kept)


def test_the_rollback_says_what_goes_back_and_the_preview_too(service):
    file = service.root / "stacks" / f"Pulumi.{service.stack}.yaml"
    file.write_text(f"# what people wrote stays\n{file.read_text()}")
    said = rollback(service)
    for text in (said, service.engine("preview", "--stack", service.stack).text):
        assert "models m:2 -> m:1, script changed, packages sniffio 1.3.1 -> 1.3.0, variables STYLE fancy" in " ".join(
            text.split()
        )
    assert "To go forward again, remove that line and run: make up STACK=e2e" in said
    assert file.read_text().startswith("# what people wrote stays\n")
    assert yaml.safe_load(file.read_text())["config"]["triton-serving:deployment"]["version"] == 1


def test_version_1_is_deployed_whole(service):
    shutil.rmtree(service.root / "scripts")  # what the file says besides does not count, and need not be there
    shutil.rmtree(service.root / ".var/environments/locks")
    service.up()
    assert answer(service) == A
    outputs = service.outputs()
    assert (outputs["version"], outputs["modelId"]) == (1, "m:1")
    shown = rows(versions(service))
    assert list(shown) == [2, 1]
    assert shown[1].endswith("serves")


def test_nothing_changes_while_the_version_stays(service):
    preview = service.engine("preview", "--stack", service.stack).text
    assert "version 1 of" in preview
    assert "stays" in preview
    assert not {"updated", "update", "created", "create"} & set(preview.partition("Resources:")[2].split())
    assert "unchanged" in preview


def test_an_unknown_version_is_told_at_preview_with_those_there_are(service):
    service.settings["deployment"]["version"] = 7
    service.write_settings()
    preview = service.engine("preview", "--stack", service.stack)
    assert preview.code != 0
    assert "deployment.version has the value 7" in preview.text
    assert "expected one of 1, 2" in preview.text


def test_without_the_line_it_goes_forward_again(service):
    del service.settings["deployment"]["version"]
    declare(service, B)
    service.up()
    assert answer(service) == B
    assert service.outputs()["version"] == 2


def test_beside_a_share_of_the_traffic_the_version_that_has_the_rest_serves(service):
    service.settings["deployment"]["rollout"] = {"canaryTrafficPercent": 10}
    declare(service, {**B, "script": "C"})
    service.up()
    assert service.outputs()["version"] == 2
    shown = rows(versions(service))
    assert list(shown) == [2, 1]
    assert shown[2].endswith("serves")
    refused = service.operate("rollback", given=json.dumps(service.outputs()))
    assert refused.code == 1
    assert "to give version 2 all of the traffic again, set it to 0 and run: make up STACK=e2e" in refused.text
    service.settings["deployment"]["rollout"] = {"canaryTrafficPercent": 0}
    service.write_settings()
    service.up()
    assert answer(service) == B
    assert service.outputs()["version"] == 2
    del service.settings["deployment"]["rollout"]
    declare(service, B)
    service.up()
    assert service.outputs()["version"] == 2


def test_old_versions_go_and_the_one_that_serves_stays(service):
    service.write_settings(deployment={"version": 1, "versionsKept": 1})
    service.up()
    assert sorted(rows(versions(service))) == [1, 2]
    service.write_settings(deployment={"version": None, "memoryGb": 3})
    del service.settings["deployment"]["version"]
    service.write_settings()
    service.up()
    assert service.outputs()["version"] == 3
    assert list(rows(versions(service))) == [3]
    assert not Path(service.root, ".var/registry/.services/triton-serving/e2e/svc/1").exists()
