"""Mistakes in the settings of images and of target `docker`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.settings.conftest import Check

DOCKER: dict[str, Any] = {"deployment": {"target": "docker"}}
REPOSITORY = "registry.example.com/team/triton"
REFERENCE = f"{REPOSITORY}@sha256:{'1' * 64}"

TABLE: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"image": {"baseImage": "mine:1"}, "docker": {"shmMb": 64}},
        [
            "docker: is read by target 'docker' alone, and deployment.target is 'process': remove it, or set the "
            "target",
            "image: is read by the targets 'docker' and 'node-pool', and deployment.target is 'process': remove it, or "
            "set the target",
        ],
    ),
    (
        {**DOCKER, "image": {"reference": REFERENCE, "baseImage": "mine:1"}},
        ["image.baseImage has the value 'mine:1': is for building, and image.reference says to build nothing"],
    ),
    (
        {**DOCKER, "image": {"reference": f"{REPOSITORY}:latest"}},
        [
            f"image.reference has the value '{REPOSITORY}:latest': expected an image by its digest, as in "
            "registry.example.com/team/triton@sha256:<64 hexadecimal digits>"
        ],
    ),
    (
        {**DOCKER, "image": {"baseImage": "debian:12\nRUN id"}},
        [
            "image.baseImage has the value 'debian:12\\nRUN id': expected an image's name, as in "
            "registry.example.com/team/triton:24.12"
        ],
    ),
    (
        {**DOCKER, "image": {"repository": "triton:1"}},
        [
            "image.repository has the value 'triton:1': expected a name without a tag, as in "
            "registry.example.com/team/triton"
        ],
    ),
    (
        {**DOCKER, "image": {"username": "robot"}},
        [
            "imagePassword: is required where image.username is set: "
            "pulumi config set --secret imagePassword <password>",
            "image.username has the value 'robot': is for image.repository or image.reference, and neither is set",
        ],
    ),
    (
        {**DOCKER, "image": {"repository": REPOSITORY}, "imagePassword": "s3cret"},
        [
            "imagePassword: stands in plain text; set it with: pulumi config set --secret imagePassword <password>",
            "image.username: is required where imagePassword is set",
        ],
    ),
]


@pytest.mark.parametrize(("changes", "expected"), TABLE)
def test_each_mistake_says_what_was_expected(changes: dict[str, Any], expected: list[str], mistakes: Check) -> None:
    assert mistakes(changes) == expected


@pytest.mark.parametrize("image", [{}, {"baseImage": "mine:1"}, {"repository": REPOSITORY}, {"reference": REFERENCE}])
def test_an_image_is_built_and_kept_built_and_pushed_or_pulled(image: dict[str, Any], mistakes: Check) -> None:
    assert mistakes({**DOCKER, "image": image}) == []


def test_credentials_are_whole_with_a_secret_password(mistakes: Check) -> None:
    changes = {**DOCKER, "image": {"repository": REPOSITORY, "username": "robot"}, "imagePassword": "s3cret"}
    assert mistakes(changes, secret=("imagePassword",)) == []
