"""Check the steps of an ensemble against the models that they name.

The rules are those of `ValidateEnsembleSchedulingConfig` and of the checks between models in Triton's core
(`src/model_config_utils.cc`, `src/ensemble_scheduler/ensemble_utils.cc`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bundle.bundle_types import ANY_SIZE, Model
from bundle.model_config import ModelConfig, datatype_of
from bundle.problems import listed, nearest

LATEST = -1


@dataclass(frozen=True)
class _Form:
    """A tensor's type and shape in one model; `dims` has no batch dimension, `batched` tells whether there is one."""

    model: str
    datatype: str
    dims: tuple[int, ...]
    batched: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape, with the batch dimension where the model batches."""
        return (ANY_SIZE, *self.dims) if self.batched else self.dims

    def fits(self, other: _Form) -> bool:
        """Tell whether the shapes agree, with or without the batch dimension: of two models, only one may batch."""
        return _alike(self.dims, other.dims) or _alike(self.shape, other.shape)


def _alike(one: Sequence[int], other: Sequence[int]) -> bool:
    return len(one) == len(other) and all(a == b or ANY_SIZE in (a, b) for a, b in zip(one, other, strict=True))


def ensemble_problems(
    config: ModelConfig,
    shown: str,
    ensemble: str,
    models: Mapping[str, Model],
    broken: Sequence[str],
    decoupled: Collection[str] = (),
) -> Iterator[str]:
    """Yield a line for each mistake that Triton refuses in an ensemble.

    Args:
        config: The ensemble's configuration.
        shown: The configuration's path, for the lines.
        ensemble: The ensemble's name.
        models: The bundle's models by name.
        broken: Models of the bundle whose interface is not known.
        decoupled: Models that may answer one request many times.
    """
    steps = config.ensemble_scheduling.step
    if not steps:
        yield f"{shown}: an ensemble without steps; expected ensemble_scheduling with at least one step; add it"
        return
    if config.instance_group:
        yield f"{shown}: an ensemble has no instances of its own; remove instance_group"
    if config.HasField("optimization"):
        yield f"{shown}: an ensemble computes nothing itself; remove optimization"
    if config.model_warmup:
        yield f"{shown}: an ensemble is warmed up by the models of its steps; remove model_warmup"
    produced: dict[str, str] = {}
    forms = {
        tensor.name: _Form(
            ensemble,
            datatype_of(tensor.data_type),
            tuple(tensor.reshape.shape if tensor.HasField("reshape") else tensor.dims),
            config.max_batch_size > 0,
        )
        for tensor in (*config.output, *config.input)
        if tensor.data_type
    }
    for number, step in enumerate(steps, start=1):
        name = f"step {number} ('{step.model_name}')" if step.model_name else f"step {number}"
        if not step.input_map or not step.output_map:
            yield f"{shown}: {name} has no {'input_map' if not step.input_map else 'output_map'}; add it"
        for tensor in step.output_map.values():
            if tensor in produced:
                yield (
                    f"{shown}: {name} writes the tensor '{tensor}', which {produced[tensor]} writes too; "
                    "rename one of them"
                )
            produced.setdefault(tensor, name)
        if not step.model_name:
            yield f"{shown}: {name} has no model_name; add one"
        elif step.model_name == ensemble:
            yield f"{shown}: {name} names the ensemble itself; name another model"
        elif step.model_name in models:
            yield from _step_problems(config, step, models[step.model_name], name, shown, forms)
        elif step.model_name not in broken:
            known = sorted(other for other in (*models, *broken) if other != ensemble)
            yield (
                f"{shown}: {name} names a model that is not in the bundle; expected one of {listed(known)}"
                f"{nearest(step.model_name, known)}"
            )
    yield from _flow_problems(config, shown, produced)
    yield from _branch_problems(config, shown, decoupled)


def circle_problems(shown: Mapping[str, str], configs: Mapping[str, ModelConfig]) -> Iterator[str]:
    """Yield a line for each ensemble that is a step of one of its steps.

    Args:
        shown: The paths of the configurations by model, for the lines.
        configs: The configurations by model.
    """
    steps = {
        name: dict.fromkeys(step.model_name for step in config.ensemble_scheduling.step)
        for name, config in configs.items()
    }
    for name in steps:
        others = [
            other for other in sorted(_reachable(name, steps)) if other != name and name in _reachable(other, steps)
        ]
        if others:  # `ensemble_problems` reports an ensemble that is a step of itself
            yield f"{shown[name]}: this ensemble is a step of {listed(others)}, and that of it; take one out"


def _reachable(name: str, steps: Mapping[str, Collection[str]]) -> set[str]:
    reached = set(steps.get(name, ()))
    while more := {step for inner in reached for step in steps.get(inner, ())} - reached:
        reached |= more
    return reached


def _branch_problems(config: ModelConfig, shown: str, decoupled: Collection[str]) -> Iterator[str]:
    """Yield a line where tensors of different decoupled steps meet: nobody knows which answers belong together."""
    source = {tensor.name: "" for tensor in config.input}
    steps = dict(enumerate(config.ensemble_scheduling.step, start=1))
    while ready := [number for number, step in steps.items() if set(step.input_map.values()) <= source.keys()]:
        for number in ready:
            step = steps.pop(number)
            origins = {source[tensor] for tensor in step.input_map.values()}
            if len(origins) > 1:
                yield _unlike(f"step {number} ('{step.model_name}')", origins, shown)
            origin = (
                f"step {number} ('{step.model_name}')" if step.model_name in decoupled else min(origins, default="")
            )
            source.update(dict.fromkeys(step.output_map.values(), origin))
    origins = {source[tensor.name] for tensor in config.output if tensor.name in source}
    if len(origins) > 1:
        yield _unlike("its outputs", origins, shown)


def _unlike(reader: str, origins: Collection[str], shown: str) -> str:
    mixed = listed(sorted(origin or "the request" for origin in origins))
    return (
        f"{shown}: tensors of {mixed} meet in {reader}; expected one origin, as a decoupled model answers a "
        "request any number of times; take all from one of them"
    )


def _step_problems(
    config: ModelConfig, step: ModelConfig, model: Model, name: str, shown: str, forms: dict[str, _Form]
) -> Iterator[str]:
    if step.model_version not in (LATEST, 0) and step.model_version not in model.versions:
        yield (
            f"{shown}: {name} wants version {step.model_version}, which is not loaded; "
            f"expected -1 (the latest) or one of {listed(model.versions)}"
        )
    if 0 < model.max_batch_size < config.max_batch_size:
        yield (
            f"{shown}: max_batch_size is {config.max_batch_size}, but {name} takes at most {model.max_batch_size}; "
            "lower the ensemble's, or raise that of its model"
        )
    batched = model.max_batch_size > 0
    for kind, mapping, tensors in (("input", step.input_map, model.inputs), ("output", step.output_map, model.outputs)):
        if tensors:
            known = {
                tensor.name: _Form(model.name, tensor.datatype, tensor.shape[1:] if batched else tensor.shape, batched)
                for tensor in tensors
            }
            yield from _map_problems(kind, mapping, known, name, shown, forms)
    for tensor in model.inputs:
        if not tensor.optional and tensor.name not in step.input_map:
            yield f"{shown}: {name} does not map the input '{tensor.name}' of its model; add it to input_map"


def _map_problems(
    kind: str, mapping: Mapping[str, str], known: Mapping[str, _Form], name: str, shown: str, forms: dict[str, _Form]
) -> Iterator[str]:
    for key, tensor in sorted(mapping.items()):
        form = known.get(key)
        if form is None:
            yield (
                f"{shown}: {name} maps the {kind} '{key}', which the model does not have; "
                f"expected {listed(known)}{nearest(key, known)}"
            )
            continue
        elsewhere = forms.setdefault(tensor, form)
        if form.datatype != elsewhere.datatype:
            yield (
                f"{shown}: {name} takes the tensor '{tensor}' for {form.datatype}, but it is {elsewhere.datatype} of "
                f"'{elsewhere.model}'; make the types agree"
            )
        elif not form.fits(elsewhere):
            yield (
                f"{shown}: {name} takes the tensor '{tensor}' for {list(form.shape)}, but it is "
                f"{list(elsewhere.shape)} of '{elsewhere.model}'; make the shapes agree"
            )


def _flow_problems(config: ModelConfig, shown: str, produced: Mapping[str, str]) -> Iterator[str]:
    inputs = {tensor.name for tensor in config.input}
    consumed = {tensor for step in config.ensemble_scheduling.step for tensor in step.input_map.values()}
    outputs = {tensor.name for tensor in config.output}
    for name in sorted(consumed - inputs - set(produced)):
        yield (
            f"{shown}: the tensor '{name}' is read by a step but comes from nowhere; "
            "expected an input or another step's output"
        )
    for name in sorted(inputs - consumed):
        yield f"{shown}: input '{name}' is used by no step; remove it or map it"
    for name in sorted(outputs - set(produced)):
        yield f"{shown}: output '{name}' is written by no step; remove it or map it"
    for name in sorted(set(produced) - consumed - outputs):
        yield f"{shown}: the tensor '{name}' of {produced[name]} is used nowhere; remove it from output_map"
