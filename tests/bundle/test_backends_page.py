"""The page `docs/backends.md` says what the code says."""

import re
from pathlib import Path

import pytest

from bundle.frameworks import ALL_FRAMEWORKS, FRAMEWORKS, TARGETS
from bundle.onnx_limits import unserved
from bundle.runtimes import LIMITS, RELEASES
from environment.curated_clone import Environment

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "backends.md").read_text(encoding="utf-8")
CURATED = Environment.get("AzureML-Triton").curated


def tables() -> list[list[list[str]]]:
    """The page's tables in their order, without heads; cells without the marks of code."""
    found: list[list[list[str]]] = []
    for block in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE):
        rows = [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in block.splitlines()]
        found.append(rows[2:])
    return found


def pinned(packages: tuple[str, ...]) -> dict[str, str]:
    return {name: version for name, _, version in (package.partition("==") for package in packages)}


def test_each_target_s_versions_are_the_code_s() -> None:
    found = {name: cells for name, *cells in tables()[0]}
    wheel, image = CURATED.wheel, CURATED.image
    cpu, gpu = pinned(wheel.packages.cpu)["onnxruntime"], pinned(wheel.packages.gpu)["onnxruntime-gpu"]
    runtimes = [".".join(version.split(".")[:2]) for version in (cpu, gpu)]
    runtimes.append(next(version for version, releases in RELEASES.items() if image.release in releases))
    pythons = f"{wheel.pythons[0]} to {wheel.pythons[-1]}"
    limits = [LIMITS[version] for version in runtimes]
    assert found == {
        "Triton from": [wheel.requirement, wheel.requirement, image.reference],
        "NVIDIA's release": [wheel.release, wheel.release, image.release],
        "Triton server": [wheel.triton_server, wheel.triton_server, image.triton_server],
        "ONNX Runtime": runtimes,
        "highest opset": [str(each.opset) for each in limits],
        "highest IR version": [str(each.ir) for each in limits],
        "highest ai.onnx.ml": [str(each.ml) for each in limits],
        "Python": [pythons, pythons, image.python],
        "NumPy": [pinned(CURATED.packages)["numpy"]] * 3,
    }


def test_the_releases_and_their_limits_are_the_code_s() -> None:
    expected = [
        [f"{releases[0]} to {releases[-1]}" if len(releases) > 1 else releases[0], version, *map(str, LIMITS[version])]
        for version, releases in RELEASES.items()
    ]
    assert tables()[1] == expected


def test_every_backend_stands_on_the_page_with_its_targets() -> None:
    rows = tables()[2]
    assert {tuple(row[:4]) for row in rows} == {
        (each.label, each.backend, each.platform, each.file) for each in ALL_FRAMEWORKS
    }
    for label, backend, platform, file, process, containers in rows:
        (framework,) = (
            each for each in ALL_FRAMEWORKS if (each.backend, each.platform, each.file) == (backend, platform, file)
        )
        assert (process == "yes") == (TARGETS[0] in framework.targets), label
        assert (containers == "yes") == (not framework.caveat), label
    assert {row[3] for row in rows} >= {each.file for each in FRAMEWORKS}


def test_the_packages_are_the_curated_environment_s() -> None:
    *_, packages, added = tables()
    assert dict(packages) == pinned(CURATED.packages)
    assert {name: version for name, version, _ in added if version} == pinned(CURATED.wheel.packages.cpu)
    assert {name: version for name, _, version in added if version} == pinned(CURATED.wheel.packages.gpu)
    assert " and ".join(f"{name}={value}" for name, value in CURATED.variables.items()) in PAGE


@pytest.mark.parametrize(
    "config",
    [
        {"sequence_batching": {"state": [{}]}},
        {"batch_input": [{}]},
        {"batch_output": [{}]},
        {"input": [{"name": "x", "allow_ragged_batch": True}]},
        {"input": [{"name": "x", "data_type": "TYPE_BF16"}]},
    ],
)
def test_what_the_backend_of_process_lacks_stands_on_the_page(config: dict[str, object]) -> None:
    (text,) = unserved(config)
    named = re.findall(r"sequence_batching\.state|batch_input|batch_output|allow_ragged_batch|TYPE_BF16", text)
    assert named
    assert all(name in PAGE for name in named)
