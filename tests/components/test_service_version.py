"""A version that is kept under Pulumi's mocks, and deployed again: what the targets get is what they got then."""

from pathlib import Path
from typing import Any

import pytest

from bundle.layout import check_layout
from bundle.registry import Registry
from components import docker_deployment, node_pool_deployment
from settings.load import load
from settings.service_version import StackId
from settings.stack_reader import file_of
from targets.machine_target import BEHIND
from tests.components.conftest import Outputs
from tests.provider.asking import create

STACK = StackId("triton-serving", "test")
IMAGE = f"registry.example/triton@sha256:{'7' * 64}"
NOW = f"registry.example/triton@sha256:{'8' * 64}"
KEPT = "service-version-kept"


@pytest.fixture
def values(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    bundle_folder: Path,
    scripts: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Any]:
    """A stack's settings, of which a version is kept, and what stands in the file afterwards."""
    registry = Registry(str(tmp_path / "registry"))
    model = registry.register("m", check_layout(bundle_folder, target="process"), framework="Multi")
    monkeypatch.setitem(
        Outputs.added, "RegisteredModel", {"version": 1, "digest": model.digest, "path": model.path, "models": []}
    )
    locks = [tmp_path / f"{name}.txt" for name in ("curated", "full")]
    for lock in locks:
        lock.write_text(f"nltk==3.9.1 # {lock.stem}\n")
    for made in ("EnvironmentVenv", "EnvironmentContext"):
        monkeypatch.setitem(Outputs.added, made, {**Outputs.added[made], "lockFiles": [str(lock) for lock in locks]})
    nothing = classmethod(lambda _class, _name, _settings: "")  # there is no cluster to ask, and no Docker engine
    monkeypatch.setattr(node_pool_deployment.NodePoolDeployment, "check", nothing)
    monkeypatch.setattr(docker_deployment.DockerDeployment, "check", nothing)
    return {
        "models": [{"path": str(bundle_folder), "name": "m"}],
        "registry": str(tmp_path / "registry"),
        "stateDirectory": str(tmp_path_factory.mktemp("s")),  # short: Docker's front door has a socket in it
        "environment": {"name": "Mine", "clone": "AzureML-Triton", "pipPackages": ["nltk"], "variables": {"A": "1"}},
        "entryScript": "score.py",
        "deployment": {"port": 16789, "cpuCores": 1},
    }


@pytest.fixture
def run(declare, program, tmp_path, monkeypatch):
    """Declare the whole program with an image that a build would give; gives its resources by name."""

    def run(values: dict[str, Any], built: str, deployment: dict[str, Any], **changed: Any) -> dict[str, Any]:
        monkeypatch.setitem(Outputs.added, "Image", {"repoDigest": built, "imageName": "registry.example/triton:tag"})
        tree = {**values, **changed, "deployment": {**values["deployment"], **deployment}}
        settings = load(tree, subject=file_of("test"), project=tmp_path, stack=STACK)
        return declare(lambda: program(settings)).resources

    return run


def changed_since(scripts: Path) -> dict[str, Any]:
    """Change the script on disk, and give settings in which all else has changed too."""
    (scripts / "score.py").write_text("def init(): pass\ndef run(data): return 'other'\n")
    return {"environment": {"name": "Other", "clone": "AzureML-Triton", "pipPackages": ["spacy"]}}


def inputs_by_name(resources: dict[str, Any], *types: str) -> dict[str, Any]:
    found = {name: made.inputs for name, made in resources.items() if made.type.startswith(types)}
    assert found
    return found


def test_it_is_kept_after_the_smoke_check_and_stays_in_the_registry(run, values):
    kept = run(values, IMAGE, {"versionsKept": 4})[KEPT]
    assert kept.depends_on >= {"service-smoke-check-run"}
    assert kept.retained
    assert (kept.inputs["project"], kept.inputs["stack"], kept.inputs["service"]) == (
        "triton-serving",
        "test",
        "triton-webservice",
    )
    assert kept.inputs["kept"] == 4
    assert "version" not in kept.inputs
    assert kept.inputs["content"]["image"] == ""


@pytest.mark.parametrize("target", ["process", "docker"])
@pytest.mark.parametrize("behind", [True, False])
def test_beside_a_share_of_the_traffic_it_stays_declared_and_knows_who_serves(run, values, monkeypatch, target, behind):
    made = f"{target.title()}Service"
    generation = {"number": 1, **({BEHIND: True} if behind else {})}
    monkeypatch.setitem(Outputs.added, made, {**Outputs.added[made], "generation": generation})
    shared = {"target": target, "rollout": {"canaryTrafficPercent": 10}}
    assert run(values, IMAGE, shared)[KEPT].inputs["behind"] is behind


@pytest.mark.parametrize("serving", ["", "another"])
def test_on_a_node_pool_the_canary_tells_who_serves(run, values, monkeypatch, serving):
    monkeypatch.setitem(Outputs.added, "NodePoolCanary", {**Outputs.added["NodePoolCanary"], "serving": serving})
    repository = {"image": {"repository": "registry.example/triton"}}
    shared = {**POOL, "rollout": {"canaryTrafficPercent": 10}}
    kept = run(values, IMAGE, shared, **repository, nodePool={"spareGpus": 1})[KEPT]
    assert kept.inputs["behind"] is (serving != "")


def test_where_none_is_kept_the_registry_is_read_alone(run, values):
    resources = run(values, IMAGE, {"versionsKept": 0})
    assert KEPT not in resources
    assert "service-smoke-check-run" in resources


def test_what_it_passed_is_what_the_settings_ask_for(run, values, scripts):
    (scripts / "score.golden.json").write_text('{"request": 1, "response": 1}')
    gates = {"replay": {}, "performance": {"maxSlowdown": 1.2}}
    inputs = run(values, IMAGE, {"rollout": gates})[KEPT].inputs
    assert inputs["passed"] == ["probe", "replay", "performance"]
    assert inputs["passedFirst"] == ["probe"]  # nothing serves that it could be compared with
    own = run(values, IMAGE, {"rollout": {"performance": {"p95Ms": 50}}})[KEPT].inputs
    assert own["passedFirst"] == ["probe", "performance"]


def test_on_process_the_service_gets_what_it_got_then(run, values, scripts):
    then = run(values, IMAGE, {"cpuCores": 1, "memoryGb": 2})
    create("ServiceVersion", then[KEPT].inputs)
    again = run(values, IMAGE, {"version": 1, "memoryGb": 3}, **changed_since(scripts))
    old, new = (
        inputs_by_name(made, "triton:index:ProcessService")["service-deployment-service"] for made in (then, again)
    )
    assert {name for name in old if old[name] != new[name]} == {"entryScript"}
    assert new["entryScript"]["digest"] == old["entryScript"]["digest"]  # from a folder of its own
    venvs = [inputs_by_name(made, "triton:index:EnvironmentVenv").popitem()[1] for made in (then, again)]
    assert {name for name in venvs[0] if venvs[0][name] != venvs[1][name]} == {"givenLocks"}
    assert sorted(file.name for file in Path(venvs[1]["givenLocks"]).iterdir()) == ["curated.txt", "full.txt"]
    assert again[KEPT].inputs["version"] == 1
    assert create("ServiceVersion", again[KEPT].inputs)["number"] == 1


POOL = {"target": "node-pool", "computeTargetName": "aks-gpu", "gpuCores": 1, "memoryGb": 8}


def test_on_a_node_pool_every_object_is_as_it_was_then(run, values, scripts):
    repository = {"image": {"repository": "registry.example/triton"}}
    then = run(values, IMAGE, POOL, **repository)
    assert then[KEPT].inputs["content"]["image"] == IMAGE
    create("ServiceVersion", then[KEPT].inputs)
    changes = changed_since(scripts)
    since = run(values, NOW, {**POOL, "memoryGb": 16}, **repository, **changes)
    again = run(values, NOW, {**POOL, "memoryGb": 16, "version": 1}, **repository, **changes)
    objects = [inputs_by_name(made, "kubernetes:") for made in (then, since, again)]
    assert objects[0] == objects[2]
    assert objects[0] != objects[1]
    assert not [made for made in again.values() if made.type.startswith("docker:index/image")]


def test_what_a_version_does_not_decide_stays_the_stacks_on_a_node_pool(run, values, scripts):
    repository = {"image": {"repository": "registry.example/triton"}}
    create("ServiceVersion", run(values, IMAGE, POOL, **repository)[KEPT].inputs)
    again = run(values, NOW, {**POOL, "version": 1}, **repository, nodePool={"numReplicas": 5})
    (replicas,) = (
        made.inputs["spec"]["replicas"]
        for name, made in again.items()
        if made.type == "kubernetes:apps/v1:Deployment" and not name.endswith("front-door")
    )
    assert replicas == 5


def test_on_docker_an_image_of_this_engine_is_built_again_from_the_same_locks(run, values, scripts):
    docker = {"target": "docker"}
    then = run(values, f"sha256:{'7' * 64}", docker)
    assert then[KEPT].inputs["content"]["image"] == ""
    create("ServiceVersion", then[KEPT].inputs)
    again = run(values, f"sha256:{'7' * 64}", {**docker, "version": 1}, **changed_since(scripts))
    for kind in ("EnvironmentContext", "DockerService"):
        old, new = (inputs_by_name(made, f"triton:index:{kind}").popitem()[1] for made in (then, again))
        assert {name for name in old if old[name] != new[name]} <= {"givenLocks", "entryScript"}
