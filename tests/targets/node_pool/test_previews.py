"""The stacks of the presets as they stand, previewed by the embedded engine, without a cluster and without a plugin."""

import shutil

import pytest

from tests.e2e.project import SOURCE, Project
from tests.targets.node_pool.test_snapshots import STACKS


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = Project(tmp_path_factory.mktemp("previews") / "project")
    for stack in STACKS:
        shutil.copy(SOURCE / "stacks" / f"Pulumi.{stack}.yaml", made.root / "stacks")
        assert made.engine("stack", "init", stack).code == 0
    made.environment |= {"KUBECONFIG": str(made.root / "none"), "DOCKER_HOST": "unix:///none"}
    return made


@pytest.mark.timeout(120)
@pytest.mark.parametrize("stack", STACKS)
def test_a_presets_stack_previews_without_a_cluster(project, stack):
    shown = project.engine("preview", "--stack", stack)
    assert shown.code == 0, shown.text
    for made in ("NodePoolDeployment", "NodePoolRollout", "Gateway", "NodePoolCheck", "apps/v1:Deployment"):
        assert f"{made} " in shown.text, shown.text
    assert ("no GPU is spare for a rollout" in shown.text) == (stack != "karpenter")
