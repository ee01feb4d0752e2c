"""The program itself, by the embedded engine: a share that stays, its promotion, and a version that is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from targets.node_pool.cluster.cluster_client import Cluster
from targets.node_pool.object_names import FRONT_DOOR_PORT
from tests.cluster.kube import KINDS, Kube
from tests.cluster.service import hammered
from tests.cluster.test_canary import GOLDEN
from tests.cluster.test_pulumi import Declared, ask
from tests.e2e.project import Project

pytestmark = pytest.mark.skipif(
    shutil.which("pulumi-resource-kubernetes") is None, reason="pulumi-resource-kubernetes is not on PATH"
)


class Stepwise(Declared):
    """The project with a service of one of the tests' images."""

    def command(self, *arguments: str) -> list[str]:
        return Project.command(self, *arguments)

    def serve(self, built: tuple[str, int], **rollout: Any) -> None:
        """Declare an image and how it takes over the traffic."""
        digits = self.root / "models" / "triton" / "digits"
        if built[1] == 2:
            shutil.copytree(digits / "1", digits / "2", dirs_exist_ok=True)
        else:
            shutil.rmtree(digits / "2", ignore_errors=True)
        kept = {name: self.settings["deployment"]["rollout"][name] for name in ("drainSeconds", "deadlineSeconds")}
        deployment = {**self.settings["deployment"], "rollout": {**kept, **rollout}}
        self.write_settings(image=None)
        self.write_settings(image={"reference": built[0]}, deployment=deployment)

    def unchanged(self) -> str:
        done = self.engine("preview", "--expect-no-changes", "--stack", self.stack)
        assert done.code == 0, done.text
        return done.text


def versions(namespace: str, key: str) -> list[str]:
    with Cluster().forwarded(namespace, "declared", FRONT_DOOR_PORT) as port:
        headers = {"Authorization": f"Bearer {key}"}
        answer = httpx.get(f"http://127.0.0.1:{port}/v2/models/digits", headers=headers, timeout=60)
    return list(answer.json()["versions"])


@pytest.mark.timeout(1800)
def test_a_program_takes_versions_through_shares_of_the_traffic(built, node, namespace, tmp_path: Path) -> None:
    program = Stepwise(tmp_path / "project", "shares", namespace, "unused", built.envoy)
    steps = [{"mirror": 50, "pause": "3s"}, {"setWeight": 50, "pause": "8s"}]
    judged = {"steps": steps, "analysis": {"maxErrorRate": 0.01, "minRequests": 30}}
    try:
        program.serve(built.good, **judged)
        told = program.up()  # the first version needs no share
        assert "step 1" not in told
        key = program.outputs()["primaryKey"]
        program.unchanged()

        program.serve(built.newer, canaryTrafficPercent=20)
        assert "gets 20 % of the traffic, until a later `up`" in program.up()
        assert versions(namespace, key) == ["1"]
        assert (
            "answers 20 % of the requests"
            in program.operate("status", "--cluster", json.dumps(program.outputs()["cluster"])).text
        )
        assert program.verb("refresh").code == 0
        program.unchanged()
        assert ask(namespace, key) == (200, GOLDEN["response"])

        program.serve(built.newer)
        told = program.up()
        assert "the replicas have all of the traffic: the replicas' own rollout follows" in told
        assert versions(namespace, key) == ["2"]
        assert program.outputs()["state"] == "Healthy"
        program.unchanged()

        program.serve(built.failing, **judged)
        with hammered(namespace, "declared", key, built.good[0], GOLDEN["request"]) as counted:
            told = program.up(fails=True)
        for words in ("refused generation 3", "requests that failed", "deployment.rollout.analysis"):
            assert words in told, told
        assert "Traceback" not in told
        assert {line[:3] for line in counted[0]["failures"]} <= {"500"}
        assert versions(namespace, key) == ["2"]
        program.serve(built.newer, **judged)
        program.up()  # the settings of what serves: nothing to take back
        program.unchanged()
    finally:
        program.destroy()
    assert [name for name in Kube().names(namespace, KINDS) if "/declared" in name] == []
