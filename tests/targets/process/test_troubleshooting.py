"""The causes that docs/troubleshooting.md lists of target process: each is brought about, and says what is quoted.

Two are where such failures are tested: a GPU that Triton does not see in `test_gpus.py`, memory in
`tests/serving/test_keeper.py`.
"""

import json
import socket
from pathlib import Path

import pytest

from environment import machine_requirements as machine
from environment.curated_clone import Environment
from environment.interpreter import inspect
from environment.package_lock import ResolutionError, resolve
from settings.service_groups import RolloutPlan
from targets.errors import ServiceError
from targets.process import front_door
from targets.process.service_folder import ServiceDirectory
from tests.e2e.project import Project
from tests.targets.process.conftest import OWNER, Service
from tests.troubleshooting import quoted

FAILING = "def init():\n    import a_package_that_is_missing\ndef run(data): return 1\n"
HANGING = "import time\ndef init(): time.sleep(600)\ndef run(data): return 1\n"


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project, for `make check` of models that fail."""
    return Project(tmp_path_factory.mktemp("checked") / "project")


def test_the_machine_lacks_what_triton_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_glibc", lambda: "2.31")
    reasons = machine.why_not(Environment.get("AzureML-Triton").curated.wheel)
    quoted("\n".join(reasons), "process", 1)


def test_packages_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(ResolutionError) as failed:
        resolve(["sniffio==1.2.0", "sniffio==1.3.1"], name="E", python=inspect(), store=tmp_path)
    quoted(failed.value, "process", 2)


def test_the_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(ServiceError) as failed:
            front_door.check_port(ServiceDirectory.of(tmp_path, "web"), port, OWNER)
    quoted(failed.value, "process", 3, {"6789": port})


def test_the_name_is_taken(tmp_path: Path) -> None:
    directory = ServiceDirectory.of(tmp_path, "web")
    directory.claim(OWNER, overwrite=False)
    with pytest.raises(ServiceError) as failed:
        directory.claim("organization/project/other", overwrite=False)
    quoted(failed.value, "process", 4, {"'triton-webservice'": "'web'"})


def test_another_change_is_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("targets.machine.service_folder.LOCK_SECONDS", 0.1)
    directory = ServiceDirectory.of(tmp_path, "web")
    with directory.locked(), pytest.raises(ServiceError) as failed, ServiceDirectory.of(tmp_path, "web").locked():
        pass
    quoted(failed.value, "process", 5)


def test_a_model_does_not_load(checked: Project) -> None:
    folder = checked.root / "models" / "triton" / "broken"
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text('backend: "python"')
    (folder / "1" / "model.py").write_text("import a_package_that_is_missing\nclass TritonPythonModel: ...\n")
    result = checked.operate("check")
    assert result.code != 0
    assert "No module named 'a_package_that_is_missing'" in quoted(result.text, "process", 6)


def test_a_model_answers_wrongly(checked: Project) -> None:
    checked.write_settings(models=[{"path": "wrong", "name": "m"}])
    model = checked.add_model().rename(checked.root / "digits")
    golden = json.loads((model / "golden.json").read_text())
    golden["response"]["outputs"][0]["data"][0] += 1
    (model / "golden.json").write_text(json.dumps(golden))
    (checked.root / "wrong" / "triton").mkdir(parents=True)
    model.rename(checked.root / "wrong" / "triton" / "digits")
    result = checked.operate("check")
    assert result.code != 0
    quoted(result.text, "process", 7)


def test_the_script_fails(service: Service) -> None:
    with pytest.raises(ServiceError) as failed:
        service.up(FAILING)
    assert "No module named 'a_package_that_is_missing'" in quoted(failed.value, "process", 8)


def test_it_is_not_ready_in_time(service: Service) -> None:
    with pytest.raises(ServiceError) as failed:
        service.up(HANGING, rollout=RolloutPlan(deadline_seconds=1, drain_seconds=5))
    quoted(failed.value, "process", 11)
