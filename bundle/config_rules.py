"""Check a configuration by itself, as Triton's core does, whatever the model file says.

The rules are those of `ValidateModelConfig`, `ValidateModelIOConfig`, `ValidateIOShape`, `ValidateInstanceGroup` and
`ValidateModelMetrics` in Triton's core (`src/model_config_utils.cc`), and of `GenerateWarmupData`
(`src/backend_model_instance.cc`). `scheduler_rules` has the rules of schedulers, `ensemble` those of ensembles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from bundle.bundle_types import ANY_SIZE
from bundle.frameworks import BACKENDS, ENSEMBLE, PLATFORMS, TENSORRT
from bundle.model_config import ModelConfig, configured, datatype_of, kind_of
from bundle.problems import listed, nearest
from bundle.scheduler_rules import scheduling_problems
from bundle.shell_names import setting_problems

_RUNTIMES = "expected the file name of a library beside the model, such as libtriton_<backend>.so"


def config_problems(config: ModelConfig, shown: str, folder: str) -> Iterator[str]:
    """Yield a line for each mistake that Triton refuses in the configuration of the model in `folder`."""
    if config.name and config.name != folder:
        yield (
            f"{shown}: name is '{config.name}', expected '{folder}', the name of its folder; "
            "change one of them or leave the name out"
        )
    if config.max_batch_size < 0:
        yield f"{shown}: max_batch_size is {config.max_batch_size}, expected 0 (no batching) or more"
    yield from setting_problems(config, shown)
    yield from _platform_problems(config, shown)
    for kind, tensors in (("input", config.input), ("output", config.output)):
        yield from _tensor_problems(config, tensors, kind, shown)
    yield from scheduling_problems(config, shown)
    yield from _instance_problems(config, shown)
    yield from _metric_problems(config, shown)
    yield from _warmup_problems(config, shown)


def incomplete_problems(config: ModelConfig, shown: str) -> Iterator[str]:
    """Yield a line for each input or output that lacks a type or dimensions; only some backends complete these."""
    for kind, tensors in (("input", config.input), ("output", config.output)):
        for position, tensor in enumerate(tensors):
            name = _called(kind, tensor, position)
            if not tensor.data_type:
                yield f"{shown}: {name} has no data_type; add one, such as TYPE_FP32"
            if not tensor.dims:
                yield f"{shown}: {name} has no dims; add them, such as dims: [ -1 ]"


def backend_problems(config: ModelConfig, shown: str, libraries: Sequence[str]) -> Iterator[str]:
    """Yield a line where neither a target nor the bundle has the configuration's backend or its library.

    Args:
        config: The configuration.
        shown: The configuration's path, for the lines.
        libraries: The names of the files beside the model and in its first version.
    """
    backend, runtime = config.backend, config.runtime
    if backend and backend != ENSEMBLE and backend not in BACKENDS and f"libtriton_{backend}.so" not in libraries:
        yield (
            f"{shown}: backend '{backend}' is unknown; expected one of {listed(BACKENDS)}, or its library "
            f"'libtriton_{backend}.so' beside the model file{nearest(backend, BACKENDS)}"
        )
    own = {"model.py", *(f"libtriton_{known}.so" for known in ([backend] if backend else BACKENDS)), *libraries}
    if runtime and "/" in runtime:
        yield f"{shown}: runtime '{runtime}' leaves the backend's folder; {_RUNTIMES}; remove the line 'runtime'"
    elif runtime and runtime not in own:
        yield f"{shown}: runtime '{runtime}' is not there; {_RUNTIMES}; add it, or remove the line 'runtime'"


def _platform_problems(config: ModelConfig, shown: str) -> Iterator[str]:
    if config.platform and config.platform not in PLATFORMS and not config.backend:
        yield (
            f"{shown}: platform '{config.platform}' is unknown; "
            f"expected one of {listed(PLATFORMS)}{nearest(config.platform, PLATFORMS)}"
        )
    if config.platform == ENSEMBLE and config.backend:
        yield f"{shown}: an ensemble has no backend, this one has '{config.backend}'; remove the line 'backend'"
    if config.backend == ENSEMBLE:
        yield f"{shown}: backend is 'ensemble', which is a platform; write platform: \"ensemble\" instead"
    if config.HasField("ensemble_scheduling") and config.platform != ENSEMBLE:
        yield (
            f"{shown}: ensemble_scheduling needs platform: \"ensemble\", this model has '{config.platform}'; "
            "add it or remove the scheduling"
        )


def _called(kind: str, tensor: Any, position: int) -> str:
    return f"{kind} '{tensor.name}'" if tensor.name else f"{kind} number {position + 1}"


def _tensor_problems(config: ModelConfig, tensors: Sequence[Any], kind: str, shown: str) -> Iterator[str]:
    names: set[str] = set()
    for position, tensor in enumerate(tensors):
        name = _called(kind, tensor, position)
        if not tensor.name:
            yield f"{shown}: {name} has no name; add one"
        elif tensor.name in names:
            yield f"{shown}: {name} is there twice; remove one"
        names.add(tensor.name)
        wrong = [dim for dim in (*tensor.dims, *tensor.reshape.shape) if dim < 1 and dim != ANY_SIZE]
        if wrong:
            yield f"{shown}: {name} has a dimension {wrong[0]}; expected 1 or more, or -1 for one that varies"
        elif tensor.HasField("reshape") and tensor.dims:
            yield from _reshape_problems(tensor, name, shown, config.max_batch_size)
        yield from _form_problems(config, tensor, name, shown)


def _form_problems(config: ModelConfig, tensor: Any, name: str, shown: str) -> Iterator[str]:
    """Yield a line for each property that the tensor's shape or the model's platform does not allow."""
    if getattr(tensor, "format", 0) and tensor.dims and len(tensor.dims) != 3:
        yield f"{shown}: {name} has a format (NHWC, NCHW), which needs 3 dims; expected FORMAT_NONE; remove the format"
    tensorrt = not (config.platform or config.backend) or TENSORRT in (
        config.platform.partition("_")[0],
        config.backend,
    )
    for form in ("is_shape_tensor", "is_non_linear_format_io"):
        if getattr(tensor, form) and not tensorrt:
            yield f"{shown}: {name} has {form}, which TensorRT's models alone have; remove it"
    if tensor.is_non_linear_format_io and tensor.dims and len(tensor.dims) != 3:
        yield f"{shown}: {name} has is_non_linear_format_io, which needs 3 dims; it has {len(tensor.dims)}"


def _reshape_problems(tensor: Any, name: str, shown: str, max_batch_size: int) -> Iterator[str]:
    dims, shape = list(tensor.dims), list(tensor.reshape.shape)
    if not shape and max_batch_size == 0:
        yield f"{shown}: {name} has an empty reshape, which needs max_batch_size of 1 or more; remove the reshape"
    elif _runs(dims) != _runs(shape):
        yield (
            f"{shown}: {name} has dims {dims} and reshape {shape}, which differ in their number of elements; "
            "make them agree"
        )


def _runs(dims: Sequence[int]) -> list[int]:
    """Count the elements between the dimensions that vary: a reshape must keep these numbers."""
    runs: list[list[int]] = [[]]
    for dim in dims:
        if dim == ANY_SIZE:
            runs.append([])
        else:
            runs[-1].append(dim)
    return [prod(run) for run in runs]


def _instance_problems(config: ModelConfig, shown: str) -> Iterator[str]:
    tensorrt = TENSORRT in (config.platform.partition("_")[0], config.backend)
    for position, group in enumerate(config.instance_group):
        name, kind = f"instance_group {position + 1}", kind_of(group)
        if group.gpus and kind in ("KIND_CPU", "KIND_MODEL"):
            yield f"{shown}: {name} has {kind} and names GPUs; remove gpus, or write KIND_GPU"
        elif any(gpu < 0 for gpu in group.gpus):
            yield f"{shown}: {name} names the GPU {min(group.gpus)}; expected numbers from 0"
        if group.count < 0:
            yield f"{shown}: {name} has the count {group.count}; expected 1 or more"
        if group.profile and (config.platform or config.backend) and not tensorrt:
            yield f"{shown}: {name} has a profile, which TensorRT's models alone have; remove it"


def _metric_problems(config: ModelConfig, shown: str) -> Iterator[str]:
    for position, control in enumerate(config.model_metrics.metric_control):
        name = f"metric_control {position + 1} of model_metrics"
        if not control.metric_identifier.family:
            yield f"{shown}: {name} has no metric_identifier with a family; add it"
        if not control.histogram_options.buckets:
            yield f"{shown}: {name} has no histogram_options with buckets; add them"


def _warmup_problems(config: ModelConfig, shown: str) -> Iterator[str]:
    inputs = {tensor.name: tensor for tensor in config.input}
    for warmup in config.model_warmup:
        name = f"model_warmup '{warmup.name}'"
        most = max(1, config.max_batch_size)
        if warmup.batch_size > most:
            yield (
                f"{shown}: {name} has batch_size {warmup.batch_size}, expected at most {most}, as max_batch_size is "
                f"{config.max_batch_size}; lower it"
            )
        if not warmup.batch_size:  # Triton skips it
            continue
        for key, given in sorted(warmup.inputs.items()):
            yield from _warmup_input_problems(key, given, inputs.get(key), name, shown)
        for tensor in config.input:
            if tensor.name not in warmup.inputs and not tensor.optional:
                yield f"{shown}: {name} lacks the input '{tensor.name}'; add it"


def _warmup_input_problems(key: str, given: Any, declared: Any, name: str, shown: str) -> Iterator[str]:
    if ANY_SIZE in given.dims:
        yield f"{shown}: {name} gives '{key}' dims {list(given.dims)}; expected a number for each that varies"
    if given.WhichOneof("input_data_type") is None:
        yield f"{shown}: {name} gives '{key}' no data; expected zero_data, random_data or input_data_file; add one"
    if declared is None or not declared.data_type or not declared.dims:
        return
    if given.data_type != declared.data_type:
        yield (
            f"{shown}: {name} gives '{key}' the data_type {configured(datatype_of(given.data_type))}, expected "
            f"{configured(datatype_of(declared.data_type))} as of the input"
        )
    if len(given.dims) != len(declared.dims) or any(
        ours not in (theirs, ANY_SIZE) and theirs != ANY_SIZE
        for ours, theirs in zip(given.dims, declared.dims, strict=True)
    ):
        yield f"{shown}: {name} gives '{key}' dims {list(given.dims)}, expected {list(declared.dims)} as of the input"
