"""The program itself, by Pulumi's CLI and its plugins: up, no change, a rollout, failed updates, destroy."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from targets.node_pool.cluster.cluster_client import Cluster
from targets.node_pool.object_names import FRONT_DOOR_PORT
from tests.cluster.images import PROJECT, REGISTRY, Images
from tests.cluster.kube import KINDS, Kube
from tests.cluster.service import DEPLOYMENT, POOL, hammered
from tests.cluster_api import UID, cluster_api
from tests.e2e.project import Project, Result, by_pulumi

GOLDEN = json.loads((PROJECT / "examples" / "scripts" / "score_digits.golden.json").read_text())


def installed_plugins() -> set[str]:
    if shutil.which("pulumi") is None:
        return set()
    listed = subprocess.run(
        ["pulumi", "plugin", "ls", "--json"], capture_output=True, text=True, check=True, timeout=60
    )
    on_path = {name for name in ("docker", "kubernetes") if shutil.which(f"pulumi-resource-{name}")}
    return on_path | {plugin["name"] for plugin in json.loads(listed.stdout)}


pytestmark = pytest.mark.skipif(
    not {"docker", "kubernetes"} <= installed_plugins(),
    reason="Pulumi's CLI is not on PATH, or lacks its Docker and Kubernetes plugins",
)


@contextlib.contextmanager
def other_cluster(folder: Path) -> Iterator[tuple[str, str]]:
    """A kubeconfig with the context `other` as its current one beside that of KUBECONFIG; and its cluster's UID."""
    with cluster_api() as url:
        mine = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
        mine["clusters"].append({"name": "other", "cluster": {"server": url}})
        mine["contexts"].append({"name": "other", "context": {"cluster": "other", "user": mine["users"][0]["name"]}})
        mine["current-context"] = "other"
        file = folder / "other.kubeconfig"
        file.write_text(yaml.safe_dump(mine))
        yield str(file), UID


def assert_reason_first(told: str, reason: str) -> None:
    """No traceback of Python's stands before the reason, where a person starts to read and where the CLI sums up."""
    for text in (told, told.partition("Diagnostics:")[2]):
        assert reason in text
        assert "Traceback" not in text.partition(reason)[0]


def front_door(image: str) -> dict[str, Any]:
    return {"frontDoor": {"image": image, "onPool": True, "cpuCores": 0.1}}


class Declared(Project):
    """The project with a stack of target `node-pool` whose service is `declared`, run by Pulumi's CLI."""

    def __init__(self, root: Path, stack: str, namespace: str, base_image: str, envoy: str) -> None:
        super().__init__(root, stack)
        (root / ".venv").symlink_to(sys.prefix)  # where Pulumi.yaml says the program's Python is
        self.add_model()
        self.settings = {
            "serviceName": "declared",
            "models": [{"path": "models", "name": "m"}],
            "image": {"baseImage": base_image, "repository": f"{REGISTRY}/tests/declared"},
            "entryScript": "score_digits.py",
            "sourceDirectory": "examples/scripts",
            "deployment": {**DEPLOYMENT, "overwrite": False},
            "nodePool": {
                **POOL,
                "namespace": namespace,
                **front_door(envoy),
            },
        }
        self.write_settings()

    def command(self, *arguments: str) -> list[str]:
        return by_pulumi(*arguments)

    def verb(self, verb: str) -> Result:
        return self.engine(verb, *(["--yes"] if verb != "preview" else []), "--stack", self.stack)


@pytest.fixture(scope="module")
def declared(built, node, namespace, tmp_path_factory) -> Any:
    """Projects by their stack's name, that deploy to the tests' namespace."""
    folder = tmp_path_factory.mktemp("pulumi")
    base_image = Images(tmp_path_factory.mktemp("base")).base()
    return lambda stack: Declared(folder / stack, stack, namespace, base_image, built.envoy)


def ask(namespace: str, key: str) -> tuple[int, Any]:
    with Cluster().forwarded(namespace, "declared", FRONT_DOOR_PORT) as port:
        headers = {"Authorization": f"Bearer {key}"}
        answer = httpx.post(f"http://127.0.0.1:{port}/score", headers=headers, json=GOLDEN["request"], timeout=60)
    return answer.status_code, answer.json()


@pytest.mark.timeout(1800)
def test_the_program_deploys_rolls_out_fails_safely_and_leaves_nothing(declared, namespace, built):
    first = declared("first")
    try:
        assert "checks of declared through a port-forward passed" in first.up()
        outputs = first.outputs()
        assert outputs["scoringUri"] == f"http://declared.{namespace}.svc/score"
        assert (outputs["state"], outputs["modelId"]) == ("Healthy", "m:1")
        assert ask(namespace, outputs["primaryKey"]) == (200, GOLDEN["response"])
        unchanged = first.engine("preview", "--expect-no-changes", "--stack", "first")
        assert unchanged.code == 0, unchanged.text

        (first.root / "models" / "triton" / "digits" / "1").rename(first.root / "models" / "triton" / "digits" / "2")
        first.write_settings(keyRotation={"secondary": 2})
        with hammered(namespace, "declared", outputs["primaryKey"], built.good[0], GOLDEN["request"]) as counted:
            first.up()
        assert first.outputs()["models"][0]["models"][0]["versions"] == [2]
        assert first.outputs()["secondaryKey"] != outputs["secondaryKey"]
        assert counted[0]["failures"] == []
        assert min(counted[0]["answered"]) > 50

        with other_cluster(first.root) as (kubeconfig, uid):
            mine, first.environment["KUBECONFIG"] = first.environment["KUBECONFIG"], kubeconfig
            for verb in (first.verb("preview"), *map(first.verb, ("up", "refresh", "destroy"))):
                assert verb.code != 0, verb.text
                for words in (uid, outputs["cluster"]["uid"], "use-context test"):
                    assert words in verb.text
            for verb in ("status", "logs"):
                told = first.operate(verb, "--cluster", json.dumps(outputs["cluster"])).text
                assert uid in told
                assert outputs["cluster"]["uid"] in told
            first.environment["KUBECONFIG"] = mine

        Cluster().patch("deployments", namespace, "declared", {"spec": {"replicas": 0}})
        assert "declared is scaled to 0: back to 1" in first.up()
        policy = {"name": "declared-front-door", "namespace": namespace}
        Kube().delete([{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": policy}])
        told = first.up(fails=True)
        assert "there is no NetworkPolicy declared-front-door" in told
        assert_reason_first(told, "declared-front-door gets no traffic")
        assert first.verb("refresh").code == 0
        first.up()
        assert first.outputs()["state"] == "Healthy"

        first.write_settings(nodePool=front_door(f"{REGISTRY}/tests/no-such-envoy:1"))
        told = first.up(fails=True)
        assert "the new replicas of declared-front-door are not ready" in told
        assert "2 old replicas go on serving" in told
        assert ask(namespace, outputs["primaryKey"]) == (200, GOLDEN["response"])
        first.write_settings(nodePool=front_door(built.envoy))
        first.up()
        assert first.outputs()["state"] == "Healthy"

        second = declared("second")
        told = second.up(fails=True)
        assert f"is taken in the namespace {namespace} of the cluster by the stack organization/" in told
        assert "deployment.overwrite" in told
        second.destroy()
        assert ask(namespace, outputs["primaryKey"]) == (200, GOLDEN["response"])

        broken = "def init():\n    raise RuntimeError('no weights')\n\ndef run(data): ...\n"
        (first.root / "examples" / "scripts" / "score_broken.py").write_text(broken)
        first.write_settings(entryScript="score_broken.py")
        told = first.up(fails=True)
        assert "RuntimeError: no weights" in told
        assert_reason_first(told, "the new replicas of declared are not ready")
        assert "the old replica goes on serving" in told
        assert ask(namespace, outputs["primaryKey"]) == (200, GOLDEN["response"])
        assert "RuntimeError: no weights" in first.up(fails=True)
        assert ask(namespace, outputs["primaryKey"]) == (200, GOLDEN["response"])
    finally:
        first.destroy()
    assert [name for name in Kube().names(namespace, KINDS) if "/declared" in name] == []
