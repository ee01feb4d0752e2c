"""A rollout's verdict on target `process`: `tests.verdicts`."""

from collections.abc import Iterator

import pytest

from tests import verdicts
from tests.e2e.project import Project, project


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with project(tmp_path_factory.mktemp("p") / "project") as made:
        verdicts.deploy_good(made)
        yield made


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("case", verdicts.CASES)
def test_a_rollout_tells_good_versions_from_bad_ones(deployed: Project, case: str, rollout_runs: int) -> None:
    verdicts.judge(deployed, "process", case, rollout_runs)
