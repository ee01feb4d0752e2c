"""A bundle's version in the registry."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, Resource, UpdateResult

from bundle.layout import check_files, check_layout
from bundle.manifest_models import are_current
from bundle.probe_questions import without_golden
from bundle.registry import Registered, Registry, RegistryError
from components.providers.base import Provider, say

__all__ = ["RegisteredModel"]


class RegisteredModelProvider(Provider):
    """Registers a bundle: same content, same version; changed content, the next one. Without a `source` it is there.

    Registered versions are kept when the resource is deleted: other stacks and rollbacks need them.
    """

    # Where the bundle lay when it was registered says nothing about what is registered.
    ignored = frozenset({"source", "cache"})
    outputs = frozenset({"version", "path", "models"})

    def create(self, props: dict[str, Any]) -> CreateResult:
        outputs = _register(props)
        return CreateResult(id_=f"{props['registry']}/{props['name']}", outs=outputs)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(outs=_register(_news))

    def drifted(self, outputs: Mapping[str, Any]) -> bool:
        if "://" in outputs["path"]:
            return False
        if not Path(outputs["path"]).is_dir():
            return True
        # A registry elsewhere is asked when the version is used.
        return "://" not in outputs["registry"] and _is_damaged_or_old(outputs)


def _is_damaged_or_old(outputs: Mapping[str, Any]) -> bool:
    try:
        registered = Registry(outputs["registry"]).get(outputs["name"], int(outputs["version"]))
    except RegistryError:
        return True
    return not are_current(registered.models)


def _register(props: dict[str, Any]) -> dict[str, Any]:
    cache = props.get("cache")
    registry = Registry(props["registry"], cache=Path(cache) if cache else None)
    if props["source"]:
        registered = _registered(registry, props)
        say(f"{registered.model_id} is registered")
    else:
        registered = registry.with_digest(props["name"], props["digest"])
        say(f"{registered.model_id} is in the registry")
    for line in without_golden(registered):
        say(line)
    return {
        **props,
        "version": registered.version,
        "digest": registered.digest,
        "path": str(registry.local_path(registered)) if cache else registered.path,
        "models": registered.summary,
    }


def _registered(registry: Registry, props: dict[str, Any]) -> Registered:
    source = Path(props["source"])
    bundle = check_files(source) if props["framework"] == "Custom" else check_layout(source, target=props["target"])
    return registry.register(
        props["name"],
        bundle,
        tags=props["tags"],
        description=props["description"],
        framework=props["framework"],
    )


class RegisteredModel(Resource, module="triton", name="RegisteredModel"):
    """A registered bundle; `digest` is its content's at preview, so that a change shows there."""

    version: pulumi.Output[int]
    digest: pulumi.Output[str]
    path: pulumi.Output[str]
    framework: pulumi.Output[str]
    models: pulumi.Output[list[dict[str, Any]]]

    def __init__(self, name: str, inputs: pulumi.Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        provider = RegisteredModelProvider()
        super().__init__(provider, name, {**dict.fromkeys(provider.outputs), **inputs}, opts)
