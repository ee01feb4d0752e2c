"""Rules over the settings of images and of target `docker`."""

from collections.abc import Collection, Iterator

from settings.errors import Mistake
from settings.rules.rule import rule
from settings.schema import Settings, Target

__all__ = ["image_rules"]


@rule
def image_rules(settings: Settings, secret: Collection[str]) -> Iterator[Mistake]:
    """Yield the rules that the settings of images break.

    Args:
        settings: A stack's settings.
        secret: The paths of the settings that the stack's file encrypts.
    """
    yield from _read_by_their_target(settings)
    yield from _credentials_are_whole(settings, secret)
    image = settings.image
    if image.reference is not None:
        for path, value in (("image.baseImage", image.base_image), ("image.repository", image.repository)):
            if value is not None:
                yield Mistake(
                    path=path, value=repr(value), expected="is for building, and image.reference says to build nothing"
                )
    elif settings.deployment.target is Target.NODE_POOL and image.repository is None:
        yield Mistake(
            path="image.repository",
            expected="is required on target 'node-pool', as in 'registry.example.com/team/triton': its nodes pull from "
            "there; or set image.reference to an image that exists",
        )


@rule
def _read_by_their_target(settings: Settings) -> Iterator[Mistake]:
    target = settings.deployment.target
    if target is not Target.DOCKER and settings.docker.model_fields_set:
        yield Mistake(
            path="docker",
            expected=f"is read by target 'docker' alone, and deployment.target is '{target.value}': remove it, or set "
            "the target",
        )
    if target is Target.PROCESS and settings.image.model_fields_set:
        yield Mistake(
            path="image",
            expected="is read by the targets 'docker' and 'node-pool', and deployment.target is 'process': remove it, "
            "or set the target",
        )


@rule
def _credentials_are_whole(settings: Settings, secret: Collection[str]) -> Iterator[Mistake]:
    image, password = settings.image, settings.image_password
    if password is not None and "imagePassword" not in secret:
        yield Mistake(
            path="imagePassword",
            expected="stands in plain text; set it with: pulumi config set --secret imagePassword <password>",
        )
    if password is not None and image.username is None:
        yield Mistake(path="image.username", expected="is required where imagePassword is set")
    if image.username is None:
        return
    if password is None and "imagePassword" not in secret:
        yield Mistake(
            path="imagePassword",
            expected="is required where image.username is set: pulumi config set --secret imagePassword <password>",
        )
    if image.repository is None and image.reference is None:
        yield Mistake(
            path="image.username",
            value=repr(image.username),
            expected="is for image.repository or image.reference, and neither is set",
        )
