"""An ensemble's steps against the models that they name.

The rules are those of `ValidateEnsembleSchedulingConfig` and of the checks between models in Triton's core
(`src/model_config_utils.cc`, `src/ensemble_scheduler/ensemble_utils.cc`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bundle.config import ModelConfig, datatype_of
from bundle.model import Model, Tensor
from bundle.problems import listed, nearest

LATEST = -1


def ensemble_problems(
    config: ModelConfig, shown: str, ensemble: str, models: Mapping[str, Model], broken: Sequence[str]
) -> Iterator[str]:
    """What Triton refuses in an ensemble; `broken` are models that are there, but whose interface is not known."""
    steps = config.ensemble_scheduling.step
    if not steps:
        yield f"{shown}: an ensemble without steps; expected ensemble_scheduling with at least one step; add it"
        return
    if config.instance_group:
        yield f"{shown}: an ensemble has no instances of its own; remove instance_group"
    produced: dict[str, str] = {}
    types = {tensor.name: datatype_of(tensor.data_type) for tensor in config.input if tensor.data_type}
    for number, step in enumerate(steps, start=1):
        name = f"step {number} ('{step.model_name}')" if step.model_name else f"step {number}"
        if not step.input_map or not step.output_map:
            yield f"{shown}: {name} has no {'input_map' if not step.input_map else 'output_map'}; add it"
        for tensor in step.output_map.values():
            if tensor in produced:
                yield f"{shown}: {name} writes the tensor '{tensor}', which {produced[tensor]} writes too; rename one of them"
            produced.setdefault(tensor, name)
        yield from _step_problems(step, name, shown, ensemble, models, broken, types)
    yield from _flow_problems(config, shown, produced)


def _step_problems(
    step: ModelConfig,
    name: str,
    shown: str,
    ensemble: str,
    models: Mapping[str, Model],
    broken: Sequence[str],
    types: dict[str, str],
) -> Iterator[str]:
    if not step.model_name:
        yield f"{shown}: {name} has no model_name; add one"
        return
    if step.model_name == ensemble:
        yield f"{shown}: {name} names the ensemble itself; name another model"
        return
    model = models.get(step.model_name)
    if model is None:
        if step.model_name not in broken:
            known = [other for other in (*models, *broken) if other != ensemble]
            yield (
                f"{shown}: {name} names a model that is not in the bundle; expected one of {listed(sorted(known))}"
                f"{nearest(step.model_name, known)}"
            )
        return
    if step.model_version not in (LATEST, 0) and step.model_version not in model.versions:
        yield (
            f"{shown}: {name} wants version {step.model_version}, which is not loaded; expected -1 (the latest) or one of "
            f"{listed(model.versions)}"
        )
    for kind, mapping, tensors in (("input", step.input_map, model.inputs), ("output", step.output_map, model.outputs)):
        yield from _map_problems(kind, mapping, tensors, name, shown, types)


def _map_problems(
    kind: str, mapping: Mapping[str, str], tensors: Sequence[Tensor], name: str, shown: str, types: dict[str, str]
) -> Iterator[str]:
    if not tensors:
        return
    known = {tensor.name: tensor for tensor in tensors}
    for key, ensemble_tensor in sorted(mapping.items()):
        tensor = known.get(key)
        if tensor is None:
            yield f"{shown}: {name} maps the {kind} '{key}', which the model does not have; expected {listed(known)}{nearest(key, known)}"
        elif types.setdefault(ensemble_tensor, tensor.datatype) != tensor.datatype:
            yield (
                f"{shown}: {name} takes the tensor '{ensemble_tensor}' for {tensor.datatype}, elsewhere it is "
                f"{types[ensemble_tensor]}; make the types agree"
            )
    missing = [
        tensor.name for tensor in tensors if kind == "input" and not tensor.optional and tensor.name not in mapping
    ]
    for key in missing:
        yield f"{shown}: {name} does not map the input '{key}' of its model; add it to input_map"


def _flow_problems(config: ModelConfig, shown: str, produced: Mapping[str, str]) -> Iterator[str]:
    inputs = {tensor.name for tensor in config.input}
    consumed = {tensor for step in config.ensemble_scheduling.step for tensor in step.input_map.values()}
    outputs = {tensor.name for tensor in config.output}
    for name in sorted(consumed - inputs - set(produced)):
        yield f"{shown}: the tensor '{name}' is read by a step but comes from nowhere; expected an input or another step's output"
    for name in sorted(inputs - consumed):
        yield f"{shown}: input '{name}' is used by no step; remove it or map it"
    for name in sorted(outputs - set(produced)):
        yield f"{shown}: output '{name}' is written by no step; remove it or map it"
    for name in sorted(set(produced) - consumed - outputs):
        yield f"{shown}: the tensor '{name}' of {produced[name]} is used nowhere; remove it from output_map"
