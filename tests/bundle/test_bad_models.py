"""What the layout check says of models that Triton would not serve, and whether Triton does refuse them."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundle.layout import check_layout
from bundle.problems import LayoutError
from tests import onnx_models
from tests.bundle.bad_settings import SCHEDULERS, SETTINGS
from tests.bundle.bundles import LAYOUT, Case
from tests.triton_server import Triton, build_environment, serve

BAD = (*LAYOUT, *SCHEDULERS, *SETTINGS)


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_a_bad_model_is_refused_with_its_reason(case: Case, tmp_path: Path) -> None:
    onnx_models.save_scaling(tmp_path / "triton" / "good" / "1", 2)
    folder = f"triton/{case.name}"
    case.build(tmp_path / folder)
    with pytest.raises(LayoutError) as raised:
        check_layout(tmp_path, target=case.target)
    problems = raised.value.problems
    assert len(problems) == len(case.problems), "\n".join(problems)
    for problem, expected in zip(problems, case.problems, strict=True):
        assert re.match(expected.replace("{m}", folder), problem), problem


def test_all_problems_of_a_bundle_are_reported_at_once(tmp_path: Path) -> None:
    for case in BAD:
        case.build(tmp_path / "triton" / case.name)
    with pytest.raises(LayoutError) as raised:
        check_layout(tmp_path, target="process")
    assert {problem.split("/")[1].split(":")[0] for problem in raised.value.problems} == {case.name for case in BAD}


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    """Triton, given all the bad models beside a good one."""
    folder = tmp_path_factory.mktemp("bad")
    onnx_models.save_scaling(folder / "bundle" / "triton" / "good" / "1", 2)
    for case in BAD:
        case.build(folder / "bundle" / "triton" / case.name)
    with serve(build_environment(), folder / "bundle", folder) as server:
        yield server


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_triton_does_not_serve_what_the_check_refuses(triton: Triton, case: Case) -> None:
    states = {entry.get("state", "") for (name, _), entry in triton.index().items() if name == case.name}
    assert ("READY" in states) != case.triton_refuses


def test_triton_serves_a_good_model_beside_bad_ones(triton: Triton) -> None:
    assert triton.index()["good", "1"]["state"] == "READY"
