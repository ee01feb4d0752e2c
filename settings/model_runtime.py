"""The runtime of a stack's models, Triton's release and its ONNX Runtime, as the settings tell it."""

import re
from pathlib import Path

from bundle.bundle_types import Bundle
from bundle.frameworks import ONNXRUNTIME
from bundle.layout import check_bundle
from bundle.runtimes import Runtime
from environment import Environment, SpecError
from settings.schema import Framework, Settings, Target

__all__ = ["layout_of", "runtime_of"]

_RELEASE = re.compile(r":(\d\d\.\d\d)-[^/]*$")


def runtime_of(settings: Settings) -> Runtime | None:
    """Tell the runtime of a stack's models; None where the tag of the user's own image does not tell it."""
    declared = settings.environment
    try:
        curated = Environment.get(declared.clone or declared.name).curated
    except SpecError:  # a rule of its own tells
        return None
    if settings.deployment.target is Target.PROCESS:
        packages = curated.wheel.packages.gpu if settings.deployment.has_gpu else curated.wheel.packages.cpu
        version = next(package.partition("==")[2] for package in packages if package.startswith(ONNXRUNTIME))
        return Runtime("target 'process'", curated.wheel.release, ".".join(version.split(".")[:2]))
    image = settings.image.base_image or curated.image.reference
    release = _RELEASE.search(image)
    if settings.image.reference is not None or release is None:
        return None
    return Runtime.of_release(image.rpartition("/")[2], release[1])


def layout_of(settings: Settings, folder: Path, framework: Framework = Framework.MULTI) -> Bundle:
    """Check the bundle in a folder for the target and the runtime of these settings.

    Raises:
        LayoutError: The folder is no bundle that they can serve.
    """
    target = settings.deployment.target.value
    return check_bundle(folder, framework=framework.value, target=target, runtime=runtime_of(settings))
