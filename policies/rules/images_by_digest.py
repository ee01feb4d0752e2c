"""What runs is named by its content: a tag can be moved to another image."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from pydantic import Field

from common.part import Part
from policies import objects, properties
from policies.rule import Level, Rule, Violation
from policies.stack import Resource, Stack, at

__all__ = ["RULE", "Options"]

_PULLED = "docker:index/remoteImage:RemoteImage"


class Options(Part):
    """Which images may have a tag."""

    exempt: list[str] = Field(
        default=["docker.io/envoyproxy/envoy:v*"], description="patterns of images that a tag may name"
    )


def _check(resource: Resource, stack: Stack, options: Options) -> Iterator[Violation]:
    for what, image, setting in _images(resource):
        if "@sha256:" in image or image.startswith("sha256:"):
            continue
        if not any(fnmatchcase(image, pattern) for pattern in options.exempt):
            yield Violation(
                wrong=f"{what} {image!r} by a tag, which can be moved to another image",
                expected="an image by its digest, as in registry.example.com/team/image@sha256:...",
                fix=f"set {setting} in {stack.file}",
            )


def _images(resource: Resource) -> Iterator[tuple[str, str, str]]:
    """Yield what happens to an image, its name, and the setting that names it."""
    reference = "image.reference, or image.repository to push what is built,"
    for container in objects.containers(resource):
        if container.image is not None:
            setting = "nodePool.frontDoor.image" if objects.is_door(resource) else reference
            yield f"runs the container '{container.name}' from", container.image, setting
    if resource.type == _PULLED and resource.types[0].startswith(properties.PREFIX):
        if isinstance(name := at(resource.props, "name"), str):
            yield "pulls", name, "docker.frontDoorImage"
    elif (image := properties.service_image(resource)) is not None:
        setting = "docker.frontDoorImage" if properties.is_front_door(resource) else reference
        yield "runs", image, setting


RULE = Rule(
    name="images-by-digest",
    description="Containers run images that are named by their digest.",
    level=Level.MANDATORY,
    check=_check,
    options=Options,
)
