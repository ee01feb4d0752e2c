"""Rules over GPUs: this machine has as many as are asked for, and the models fit to their number."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bundle.frameworks import ONNXRUNTIME
from settings.errors import Mistake
from settings.rules.models import BundleRead
from settings.rules.rule import rule
from settings.schema import Settings, Target

__all__ = ["gpu_rules"]

_GPU_DEVICES = Path("/dev")  # /dev/nvidia0, /dev/nvidia1, ...: the driver's, one for each GPU
_ON_GPU = {"KIND_AUTO", "KIND_GPU"}


@rule
def gpu_rules(settings: Settings, bundles: Sequence[BundleRead]) -> Iterator[Mistake]:
    """Yield what is wrong with the number of GPUs.

    Args:
        settings: A stack's settings.
        bundles: What `settings.rules.models.read_bundles` gave for them.
    """
    wanted = settings.deployment.gpu_cores
    if wanted == 0:
        yield from _no_model_needs_one(bundles)
    elif settings.deployment.target is Target.PROCESS:
        yield from _a_model_uses_them(wanted, bundles)
        yield from _machine_has_them(wanted)


@rule
def _no_model_needs_one(bundles: Sequence[BundleRead]) -> Iterator[Mistake]:
    """Judge the models' instance groups, which the manifest of an old version does not tell."""
    for bundle in bundles:
        for model in bundle.models if bundle.by_triton else ():
            if "KIND_GPU" in model.get("instanceKinds", ()):
                yield Mistake(
                    path=bundle.path,
                    value=bundle.value,
                    expected=f"an instance_group of '{model['name']}' has KIND_GPU, and deployment.gpuCores is 0: set "
                    "that, or leave the kind out",
                )


@rule
def _a_model_uses_them(wanted: int, bundles: Sequence[BundleRead]) -> Iterator[Mistake]:
    served = [model for bundle in bundles if bundle.by_triton for model in bundle.models]
    whole = not any(bundle.unread for bundle in bundles)
    if served and whole and not any(_may_use_gpu(model) for model in served):
        yield Mistake(
            path="deployment.gpuCores",
            value=str(wanted),
            expected="no model would run on a GPU: each has KIND_CPU in its instance_group, or a backend that has no "
            "use for one; leave the kind out of one, or set gpuCores to 0",
        )


def _may_use_gpu(model: Mapping[str, Any]) -> bool:
    if model["backend"] not in (ONNXRUNTIME, "python"):
        return False
    return bool(_ON_GPU & set(model.get("instanceKinds") or _ON_GPU))


@rule
def _machine_has_them(wanted: int) -> Iterator[Mistake]:
    there = gpus()
    if wanted > there:
        found = f"this machine has {there}" if there else "this machine has no NVIDIA GPU"
        yield Mistake(
            path="deployment.gpuCores",
            value=str(wanted),
            expected=f"expected at most {there} on target 'process': {found} (looked for {_GPU_DEVICES}/nvidia0 and so "
            "on, then asked nvidia-smi)",
        )


def gpus() -> int:
    """Count the NVIDIA GPUs that this machine's processes can use."""
    devices = [path for path in _GPU_DEVICES.glob("nvidia[0-9]*") if path.name.removeprefix("nvidia").isdigit()]
    if devices:
        return len(devices)
    try:  # where devices have other names, as in the Windows Subsystem for Linux
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
