"""A stack's state: its resources, and the checkpoint (format versions 3 and 4) that holds them.

The format is Pulumi's (sdk/go/common/apitype/core.go in its repository); fields it has and this engine does not use
are carried along.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from engine.errors import CLI_HINT, EngineError, StateDamaged
from engine.state.shape import check_deployment
from engine.state.values import Properties, decode, encode

VERSION = "v3.260.0"
"""The version of Pulumi whose checkpoints these are."""

STACK_TYPE = "pulumi:pulumi:Stack"
PROVIDER_PREFIX = "pulumi:providers:"
DYNAMIC_PACKAGE = "pulumi-python"

TAINT = "taint"
KNOWN_FEATURES = frozenset({TAINT})
"""What a checkpoint of version 4 may ask of its reader, as far as this engine does it."""


@dataclass(frozen=True, eq=False)
class Resource:
    """One resource as the last operation left it. Compared by identity: two generations may share a URN."""

    urn: str
    type: str
    custom: bool = False
    delete: bool = False
    id: str = ""
    inputs: Properties = field(default_factory=dict)
    outputs: Properties = field(default_factory=dict)
    parent: str = ""
    protect: bool = False
    external: bool = False
    dependencies: tuple[str, ...] = ()
    init_errors: tuple[str, ...] = ()
    provider: str = ""
    property_dependencies: dict[str, list[str]] = field(default_factory=dict)
    pending_replacement: bool = False
    additional_secret_outputs: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    custom_timeouts: dict[str, float] = field(default_factory=dict)
    retain_on_delete: bool = False
    deleted_with: str = ""
    created: str = ""
    modified: str = ""
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    taint: bool = False
    """Whether the next update is to replace it (`pulumi state taint`)."""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name, the last part of the URN."""
        return urn_name(self.urn)

    @property
    def package(self) -> str:
        """The provider's package: the one that a provider resource is of, or that a resource's type belongs to."""
        return self.type[len(PROVIDER_PREFIX) :] if self.is_provider else self.type.split(":")[0]

    @property
    def is_provider(self) -> bool:
        """Whether the resource stands for a provider."""
        return self.type.startswith(PROVIDER_PREFIX)

    @property
    def provider_urn(self) -> str:
        """The URN of the resource's provider, empty where it has none."""
        return self.provider.rpartition("::")[0]

    def references(self) -> Iterator[str]:
        """Return the URNs that must exist for this resource to."""
        if self.parent:
            yield self.parent
        if self.provider:
            yield self.provider_urn
        if self.deleted_with:
            yield self.deleted_with
        yield from self.dependencies
        for urns in self.property_dependencies.values():
            yield from urns

    def renamed(self, names: dict[str, str]) -> Resource:
        """Return this resource with every reference to a renamed URN following the new name."""
        if names.keys().isdisjoint(self.references()):
            return self
        provider_id = self.provider.rpartition("::")[2]
        return replace(
            self,
            parent=names.get(self.parent, self.parent),
            provider=f"{names.get(self.provider_urn, self.provider_urn)}::{provider_id}" if self.provider else "",
            deleted_with=names.get(self.deleted_with, self.deleted_with),
            dependencies=tuple(names.get(urn, urn) for urn in self.dependencies),
            property_dependencies={
                key: [names.get(urn, urn) for urn in urns] for key, urns in self.property_dependencies.items()
            },
        )


def make_urn(stack: str, project: str, parent: str, type_: str, name: str) -> str:
    """Return the URN of a resource; a parent's type precedes its own, the stack's excepted."""
    parent_type = urn_qualified_type(parent) if parent else ""
    if parent_type and parent_type != STACK_TYPE:
        type_ = f"{parent_type}${type_}"
    return f"urn:pulumi:{stack}::{project}::{type_}::{name}"


def urn_qualified_type(urn: str) -> str:
    """Return a URN's type with those of its parents before it."""
    return urn.split("::")[2]


def urn_type(urn: str) -> str:
    """Return a URN's type."""
    return urn_qualified_type(urn).rpartition("$")[2]


def urn_name(urn: str) -> str:
    """Return a URN's name."""
    return urn.split("::", 3)[3]


def now() -> str:
    """Return the time as a checkpoint has it."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


_PLAIN = {
    "id": "id",
    "parent": "parent",
    "protect": "protect",
    "external": "external",
    "dependencies": "dependencies",
    "initErrors": "init_errors",
    "provider": "provider",
    "propertyDependencies": "property_dependencies",
    "pendingReplacement": "pending_replacement",
    "additionalSecretOutputs": "additional_secret_outputs",
    "aliases": "aliases",
    "customTimeouts": "custom_timeouts",
    "retainOnDelete": "retain_on_delete",
    "deletedWith": "deleted_with",
    "created": "created",
    "modified": "modified",
    "ignoreChanges": "ignore_changes",
    "replaceOnChanges": "replace_on_changes",
    TAINT: "taint",
}
_FIELDS = {"urn", "type", "custom", "delete", "inputs", "outputs", *_PLAIN}


def encode_resource(resource: Resource, encrypt: Callable[[str], str]) -> dict[str, Any]:
    """Return the resource as a checkpoint holds it; what is empty is left out."""
    fields: dict[str, Any] = {"urn": resource.urn, "custom": resource.custom}
    if resource.delete:
        fields["delete"] = True
    if resource.id:
        fields["id"] = resource.id
    fields["type"] = resource.type
    if resource.inputs:
        fields["inputs"] = encode(resource.inputs, encrypt)
    if resource.outputs:
        fields["outputs"] = encode(resource.outputs, encrypt)
    for key, attribute in _PLAIN.items():
        if key != "id" and (value := getattr(resource, attribute)):
            fields[key] = value
    return fields | resource.extra


def decode_resource(fields: dict[str, Any], decrypt: Callable[[str], str]) -> Resource:
    """Return the resource that a checkpoint holds."""
    fields = {key: value for key, value in fields.items() if value is not None}
    values = {attribute: fields[key] for key, attribute in _PLAIN.items() if key in fields}
    for attribute, value in values.items():
        if isinstance(value, list):
            values[attribute] = tuple(value)
    if "property_dependencies" in values:
        values["property_dependencies"] = {key: urns or [] for key, urns in values["property_dependencies"].items()}
    return Resource(
        urn=fields["urn"],
        type=fields["type"],
        custom=fields.get("custom", False),
        delete=fields.get("delete", False),
        inputs=decode(fields.get("inputs") or {}, decrypt),
        outputs=decode(fields.get("outputs") or {}, decrypt),
        extra={key: value for key, value in fields.items() if key not in _FIELDS},
        **values,
    )


@dataclass(frozen=True)
class Operation:
    """An operation that was under way when the state was written: `creating`, `updating`, `deleting`, `reading`."""

    resource: Resource
    type: str


@dataclass(frozen=True)
class State:
    """What a checkpoint holds. `secrets_state` is its encryptionsalt, empty for a stack never updated."""

    resources: tuple[Resource, ...] = ()
    pending: tuple[Operation, ...] = ()
    secrets_state: str = ""

    def outputs(self) -> Properties:
        """Return the stack's outputs."""
        for resource in self.resources:
            if resource.type == STACK_TYPE and not resource.delete:
                return resource.outputs
        return {}


def manifest() -> dict[str, Any]:
    """Return a deployment's manifest: the time, the version and what proves that one."""
    return {"time": now(), "magic": hashlib.sha256(VERSION.encode()).hexdigest(), "version": VERSION}


def write_deployment(resources: Iterable[str], pending: Iterable[str], secrets_state: str) -> str:
    """Return a deployment's JSON, from that of its resources and pending operations."""
    parts = [f'"manifest":{json.dumps(manifest())}']
    if secrets_state:
        provider = {"type": "passphrase", "state": {"salt": secrets_state}}
        parts.append(f'"secrets_providers":{json.dumps(provider)}')
    if texts := ",\n".join(resources):
        parts.append(f'"resources":[\n{texts}\n]')
    if texts := ",\n".join(pending):
        parts.append(f'"pending_operations":[\n{texts}\n]')
    return "{" + ",\n".join([*parts, '"metadata":{}']) + "}"


def features_of(resources: Iterable[Resource]) -> tuple[str, ...]:
    """Return what a reader of a checkpoint with these resources has to know; with any of it, the version is 4."""
    return (TAINT,) if any(item.taint for item in resources) else ()


def write_checkpoint(stack: str, deployment: str, features: tuple[str, ...] = ()) -> str:
    """Return a checkpoint's JSON, from that of its deployment. `stack` is `organization/<project>/<stack>`."""
    version = f'"version":4,"features":{json.dumps(features)}' if features else '"version":3'
    return f'{{{version},"checkpoint":{{"stack":{json.dumps(stack)},"latest":{deployment}}}}}\n'


def read_deployment(
    version: int, deployment: dict[str, Any] | None, decrypter: Decrypter, features: Iterable[str] = ()
) -> State:
    """Return the state in a deployment of a format version, which uses features where that is 4.

    Raises:
        EngineError: This engine does not know the version, or a feature.
        StateDamaged: The deployment is not as Pulumi writes them, or its resources are out of order.
    """
    if version not in (3, 4):
        raise EngineError(f"The state has format version {version}; this engine reads 3 and 4. {CLI_HINT}")
    if version == 4 and (unknown := sorted(set(features) - KNOWN_FEATURES)):
        raise EngineError(f"The state uses features that this engine does not have: {', '.join(unknown)}. {CLI_HINT}")
    if not deployment:
        return State()
    try:
        check_deployment(deployment)
        provider = deployment.get("secrets_providers") or {}
        if provider.get("type", "passphrase") != "passphrase":
            raise EngineError(
                f"The state's secrets are held by '{provider['type']}'; this engine knows 'passphrase' only. {CLI_HINT}"
            )
        salt = (provider.get("state") or {}).get("salt", "")
        decrypt = decrypter(salt)
        resources = tuple(decode_resource(fields, decrypt) for fields in deployment.get("resources") or [])
        pending = tuple(
            Operation(decode_resource(fields["resource"], decrypt), fields["type"])
            for fields in deployment.get("pending_operations") or []
        )
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise StateDamaged(f"The state is damaged: it is not as Pulumi writes it ({error}).") from None
    verify(resources)
    return State(resources, pending, salt)


Decrypter = Callable[[str], Callable[[str], str]]
"""From an encryptionsalt to the function that decrypts with it."""


def verify(resources: Iterable[Resource]) -> None:
    """Check that every resource follows those it refers to and is the only live one of its URN.

    Raises:
        StateDamaged: It is not so.
    """
    seen: set[str] = set()
    live: set[str] = set()
    for resource in resources:
        for urn in resource.references():
            if urn not in seen:
                raise StateDamaged(
                    f"The state is damaged: '{resource.urn}' refers to '{urn}', which does not precede it."
                )
        if resource.urn in live and not resource.delete:
            raise StateDamaged(f"The state is damaged: '{resource.urn}' is in it twice.")
        seen.add(resource.urn)
        if not resource.delete:
            live.add(resource.urn)
