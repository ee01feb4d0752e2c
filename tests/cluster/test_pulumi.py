"""The program itself, by Pulumi's CLI and its plugins: up, nothing to change, a failed update, destroy."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from node_pool.cluster import Cluster
from node_pool.names import FRONT_DOOR_PORT
from tests.cluster.conftest import DIGITS
from tests.cluster.images import PROJECT, REGISTRY, Images
from tests.cluster.kube import Kube
from tests.cluster.service import DEPLOYMENT, POOL

GOLDEN = json.loads((PROJECT / "examples" / "score_digits.golden.json").read_text())
KINDS = (
    "deployments",
    "services",
    "secrets",
    "pods",
    "replicasets",
    "networkpolicies",
    "poddisruptionbudgets",
)


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


class Stack:
    """A copy of the project with one stack, run by Pulumi's CLI."""

    def __init__(self, root: Path, name: str, settings: dict[str, Any]) -> None:
        self.root, self.name, self.settings = root, name, settings
        if not root.is_dir():
            left_out = shutil.ignore_patterns(".*", "__pycache__", "tests", "benchmarks", "docs", "stacks")
            shutil.copytree(PROJECT, root, ignore=left_out)
            (root / ".venv").symlink_to(sys.prefix)
            (root / "backend").mkdir()
            (root / "stacks").mkdir()
        self.environment = os.environ | {
            "PULUMI_BACKEND_URL": f"file://{root}/backend",
            "PULUMI_CONFIG_PASSPHRASE": "a passphrase for tests",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        self.write()
        self.run("stack", "init", name)

    def write(self, **changed: Any) -> None:
        self.settings |= changed
        file = self.root / "stacks" / f"Pulumi.{self.name}.yaml"
        content = yaml.safe_load(file.read_text()) if file.is_file() else {}
        content["config"] = {f"triton-serving:{name}": value for name, value in self.settings.items()}
        file.write_text(yaml.safe_dump(content))

    def run(self, *arguments: str, fails: bool = False) -> str:
        done = subprocess.run(
            ["pulumi", *arguments, "--stack", self.name] if arguments[0] != "stack" else ["pulumi", *arguments],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    def up(self, *, fails: bool = False) -> str:
        return self.run("up", "--yes", "--skip-preview", fails=fails)

    def outputs(self) -> dict[str, Any]:
        outputs: dict[str, Any] = json.loads(self.run("stack", "output", "--json", "--show-secrets"))
        return outputs


@pytest.fixture(scope="module")
def made(built, namespace, tmp_path_factory) -> Any:
    """A project whose stacks deploy to the tests' namespace: `made(name, **settings)`."""
    folder = tmp_path_factory.mktemp("pulumi")
    base = Images(tmp_path_factory.mktemp("base")).base()

    def make(name: str, **changed: Any) -> Stack:
        settings = {
            "serviceName": "declared",
            "models": [{"path": "models", "name": "m"}],
            "image": {"baseImage": base, "repository": f"{REGISTRY}/tests/declared"},
            "entryScript": "score_digits.py",
            "sourceDirectory": "examples",
            "deployment": {**DEPLOYMENT, "overwrite": False},
            "nodePool": {
                **POOL,
                "namespace": namespace,
                "frontDoor": {"image": built.envoy, "onPool": True, "cpuCores": 0.1},
            },
        }
        stack = Stack(folder / "project", name, settings | changed)
        if not (folder / "project" / "models").is_dir():
            shutil.copytree(DIGITS, folder / "project" / "models" / "triton" / "digits")
        return stack

    return make


def ask(namespace: str, key: str) -> tuple[int, Any]:
    with Cluster().forwarded(namespace, "declared", FRONT_DOOR_PORT) as port:
        headers = {"Authorization": f"Bearer {key}"}
        answer = httpx.post(f"http://127.0.0.1:{port}/score", headers=headers, json=GOLDEN["request"], timeout=60)
    return answer.status_code, answer.json()


@pytest.mark.timeout(900)
def test_the_program_deploys_changes_nothing_fails_safely_and_leaves_nothing(made, namespace):
    stack = made("first")
    try:
        assert "checks of declared through a port-forward passed" in stack.up()
        outputs = stack.outputs()
        assert outputs["scoringUri"] == f"http://declared.{namespace}.svc/score"
        assert (outputs["state"], outputs["modelId"]) == ("Healthy", "m:1")
        assert ask(namespace, outputs["primaryKey"]) == (200, GOLDEN["response"])
        stack.run("preview", "--expect-no-changes")

        other = made("second")
        assert "already exists" in other.up(fails=True)
        other.run("destroy", "--yes", "--skip-preview")
        assert ask(namespace, outputs["primaryKey"]) == (200, GOLDEN["response"])

        broken = "def init():\n    raise RuntimeError('no weights')\n\ndef run(data): ...\n"
        (stack.root / "examples" / "score_broken.py").write_text(broken)
        stack.write(entryScript="score_broken.py")
        told = stack.up(fails=True)
        assert "RuntimeError: no weights" in told
        assert "the old replica goes on serving" in told
        assert ask(namespace, outputs["primaryKey"]) == (200, GOLDEN["response"])
        assert "RuntimeError: no weights" in stack.up(fails=True)
        assert ask(namespace, outputs["primaryKey"]) == (200, GOLDEN["response"])
    finally:
        stack.run("destroy", "--yes", "--skip-preview")
    assert [name for name in Kube().names(namespace, KINDS) if "/declared" in name] == []
