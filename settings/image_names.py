"""The settings of images, for the targets that run containers, and the settings of target `docker`."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, PositiveInt

from settings.group import Group

__all__ = ["DockerSettings", "ImageSettings"]

_PART = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
_REPOSITORY = rf"{_PART}(?::[0-9]+)?(?:/{_PART})+"


def _matches(pattern: str, words: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(words)
        return value

    return AfterValidator(check)


Repository = Annotated[str, _matches(_REPOSITORY, "a name without a tag, as in registry.example.com/team/triton")]
Image = Annotated[
    str,
    _matches(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*", "an image's name, as in registry.example.com/team/triton:24.12"),
]
ImageByDigest = Annotated[
    str,
    _matches(
        rf"{_REPOSITORY}(?::[\w.-]+)?@sha256:[0-9a-f]{{64}}",
        "an image by its digest, as in registry.example.com/team/triton@sha256:<64 hexadecimal digits>",
    ),
]


class ImageSettings(Group):
    """The service's image: how it is built and where it is pushed, or which one that exists is pulled."""

    base_image: Image | None = Field(
        default=None, description="what the environment starts from, in place of the curated one's image"
    )
    repository: Repository | None = Field(
        default=None,
        description="where images are pushed, as in registry.example.com/team/triton; without it they stay here",
    )
    username: str | None = Field(
        default=None, min_length=1, description="at the repository; its password: imagePassword"
    )
    reference: ImageByDigest | None = Field(
        default=None, description="an image that exists, by digest: it is pulled, and nothing is built"
    )


class DockerSettings(Group):
    """What target `docker` has to know beyond `deployment`."""

    front_door_image: Image = Field(default="docker.io/envoyproxy/envoy:v1.40.0", description="Envoy's image")
    shm_mb: PositiveInt | None = Field(default=None, description="of /dev/shm; by default a quarter of Triton's memory")
    scorer_share: float = Field(default=0.25, gt=0, lt=1, description="of the memory, beside a Triton")
