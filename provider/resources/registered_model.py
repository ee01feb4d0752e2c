"""A bundle's version in the registry."""

from pathlib import Path
from typing import Any

import pulumi

from bundle.manifest_models import ModelSummary, are_current
from bundle.probe_questions import without_golden
from bundle.registry import Registered, Registry, RegistryError
from common.part import Part
from provider.declaration import Declaration
from provider.resource_type import ResourceType, Say

__all__ = ["RegisteredModel", "RegisteredModelType"]


class Inputs(Part):
    """A bundle to register.

    `source` is its folder, "" where the registry holds the version of `digest` already; `cache` the folder that bundles
    of an object store are downloaded to, "" where they stay there; `digest` the content's at preview, so that a change
    shows there.
    """

    registry: str
    cache: str
    name: str
    source: str
    digest: str
    framework: str
    tags: dict[str, str]
    description: str


class Outputs(Part):
    """The version that the content got, where its files are, and its models."""

    version: int
    digest: str
    path: str
    models: list[ModelSummary]


class RegisteredModelType(ResourceType[Inputs, Outputs]):
    """A registered bundle: same content, same version; changed content, the next one.

    Registered versions are kept when the resource is deleted: other stacks and rollbacks need them.
    """

    inputs, outputs = Inputs, Outputs
    # Where the bundle lay when it was registered says nothing about what is registered.
    ignored = frozenset({"source", "cache"})

    def id(self, inputs: Inputs) -> str:
        return f"{inputs.registry}/{inputs.name}"

    def create(self, inputs: Inputs, say: Say) -> Outputs:
        registry = Registry(inputs.registry, cache=Path(inputs.cache) if inputs.cache else None)
        if inputs.source:
            registered = _register(registry, inputs)
            say(f"{registered.model_id} is registered")
        else:
            registered = registry.with_digest(inputs.name, inputs.digest)
            say(f"{registered.model_id} is in the registry")
        for line in without_golden(registered):
            say(line)
        return Outputs(
            version=registered.version,
            digest=registered.digest,
            path=str(registry.local_path(registered)) if inputs.cache else registered.path,
            models=registered.summary,
        )

    def drifted(self, inputs: Inputs, known: Outputs) -> frozenset[str]:
        if "://" in known.path:
            return frozenset()
        if not Path(known.path).is_dir():
            return frozenset({"path"})
        # A registry elsewhere is asked when the version is used.
        there = "://" in inputs.registry or _is_sound(inputs, known)
        return frozenset() if there else frozenset({"models"})


def _is_sound(inputs: Inputs, known: Outputs) -> bool:
    try:
        registered = Registry(inputs.registry).get(inputs.name, known.version)
    except RegistryError:
        return False
    return are_current(registered.models)


def _register(registry: Registry, inputs: Inputs) -> Registered:
    from bundle.layout import ANY_TARGET, check_bundle  # reads every format of models, and few updates register one

    bundle = check_bundle(Path(inputs.source), framework=inputs.framework, target=ANY_TARGET)
    return registry.register(
        inputs.name, bundle, tags=inputs.tags, description=inputs.description, framework=inputs.framework
    )


class RegisteredModel(Declaration):
    """A registered bundle."""

    Inputs, Outputs = Inputs, Outputs
    version: pulumi.Output[int]
    digest: pulumi.Output[str]
    path: pulumi.Output[str]
    framework: pulumi.Output[str]
    models: pulumi.Output[list[Any]]  # Pulumi knows no typed dictionaries among outputs
