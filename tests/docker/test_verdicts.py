"""A rollout's verdict on target `docker`: `tests.verdicts`."""

from collections.abc import Iterator

import pytest

from tests import verdicts
from tests.docker.conftest import Base
from tests.docker.project import DockerProject


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Iterator[DockerProject]:
    made = DockerProject(tmp_path_factory.mktemp("p") / "project", base_image=base.triton, front_door_image=base.envoy)
    try:
        verdicts.deploy_good(made)
        yield made
    finally:
        made.destroy()


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("case", verdicts.CASES)
def test_a_rollout_tells_good_versions_from_bad_ones(deployed: DockerProject, case: str, rollout_runs: int) -> None:
    verdicts.judge(deployed, "docker", case, rollout_runs)
