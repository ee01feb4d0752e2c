"""A real Docker engine (DOCKER_HOST) with a registry at localhost:5000 that has a Debian base image."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.images import Images
from tests.docker.project import DockerProject
from tests.e2e.conftest import SCORE, golden_digit


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "docker: needs a Docker engine by DOCKER_HOST")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.docker)
            if not os.environ.get("DOCKER_HOST"):
                item.add_marker(pytest.mark.skip(reason="DOCKER_HOST names no Docker engine"))


@dataclass(frozen=True)
class Base:
    """The images that everything starts from, by digest."""

    triton: str
    envoy: str


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    return Images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    images = Images(tmp_path_factory.mktemp("base"))
    return Base(triton=images.base(), envoy=images.envoy())


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Iterator[DockerProject]:
    """The digits model behind a script that asks Triton, deployed once for a module's tests."""
    project = DockerProject(
        tmp_path_factory.mktemp("p") / "project",
        base_image=base.triton,
        front_door_image=base.envoy,
    )
    project.add_model("digits")
    project.write_script(SCORE, golden={"request": {"row": 0}, "response": {"digit": golden_digit(project.root)}})
    project.write_settings(entryScript="score.py", deployment={"accessLog": True})
    try:
        project.up()
        yield project
    finally:
        project.destroy()
