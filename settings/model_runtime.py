"""The runtime of a stack's models, Triton's release and its ONNX Runtime, as the settings tell it."""

import re
from functools import lru_cache
from pathlib import Path

from bundle.bundle_types import Bundle
from bundle.frameworks import ONNXRUNTIME
from bundle.layout import check_bundle
from bundle.runtimes import Runtime
from environment.curated_clone import Environment, SpecError
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
    return _checked(folder, framework.value, target, runtime_of(settings), _fingerprint(folder))


@lru_cache(maxsize=64)
def _checked(folder: Path, framework: str, target: str, runtime: Runtime | None, fingerprint: object) -> Bundle:
    """Check a bundle once, while it stays as it is: rules, components and notes ask for it in one program."""
    return check_bundle(folder, framework=framework, target=target, runtime=runtime)


def _fingerprint(folder: Path) -> object:
    """Tell what changes with a folder's files: their paths, sizes, inodes and times."""
    found = []
    for path in sorted([folder, *folder.rglob("*")]):
        try:
            status = path.stat()
        except OSError:  # a link that leads nowhere: the check tells
            status = path.lstat()
        found.append((str(path), status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns))
    return tuple(found)
