"""What a registration asks for: from the wire to a goal, and the options that this engine does not heed."""

from __future__ import annotations

import re
from typing import Any

from engine.errors import CLI_HINT, EngineError
from engine.providers.proto import resource_pb2
from engine.run.goals import Alias, Goal
from engine.state.checkpoint import PROVIDER_PREFIX
from engine.state.values import Properties, from_struct

_LACKING = {"replacement_trigger": "replacement_trigger", "envVarMappings": "env_var_mappings"}
"""The options of a registration that this engine does not heed, by field; others the SDK itself refuses to send."""

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def refuse_lacking(request: resource_pb2.RegisterResourceRequest) -> None:
    """Refuse a registration with an option that this engine does not heed.

    Raises:
        EngineError: It has one.
    """
    if option := next((_LACKING[field.name] for field, _ in request.ListFields() if field.name in _LACKING), None):
        raise EngineError(
            f"'{request.name}' has the option {option}, which the embedded engine does not have. {CLI_HINT}"
        )
    if request.importId:
        raise EngineError(f"'{request.name}' is to be imported, which the embedded engine does not do. {CLI_HINT}")


def goal_of(request: resource_pb2.RegisterResourceRequest, provider: str) -> Goal:
    """Return the resource that a registration asks for; `provider` is the reference to its provider.

    Raises:
        EngineError: A file, an alias or a timeout of it is not as expected.
    """
    inputs = inputs_of(request.name, request.object)
    if request.type.startswith(PROVIDER_PREFIX) and request.version:
        inputs |= version_inputs(request.version)
    return Goal(
        type=request.type,
        name=request.name,
        custom=request.custom,
        inputs=inputs,
        parent=request.parent,
        provider=provider,
        protect=request.protect,
        dependencies=tuple(sorted(request.dependencies)),
        property_dependencies={key: sorted(deps.urns) for key, deps in request.propertyDependencies.items()},
        delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
        ignore_changes=tuple(request.ignoreChanges),
        replace_on_changes=tuple(request.replaceOnChanges),
        additional_secret_outputs=tuple(request.additionalSecretOutputs),
        aliases=tuple(_alias(alias) for alias in request.aliases),
        custom_timeouts=_timeouts(request.customTimeouts),
        retain_on_delete=request.retainOnDelete,
        deleted_with=request.deletedWith,
    )


def inputs_of(name: str, struct: Any) -> Properties:
    """Return the properties of the resource `name`.

    Raises:
        EngineError: A file of it cannot be read.
    """
    try:
        return from_struct(struct)
    except OSError as error:
        raise EngineError(
            f"'{name}' has the file '{error.filename}', which cannot be read: {error.strerror}."
        ) from None


def version_inputs(version: str) -> Properties:
    """Return the inputs that tell a provider's version, as the CLI writes them."""
    return {"__internal": {}, "version": version}


def _alias(alias: Any) -> Alias:
    if alias.urn:
        return Alias(urn=alias.urn)
    spec = alias.spec
    if spec.stack or spec.project:
        raise EngineError(f"An alias names another stack or project, which the embedded engine does not do. {CLI_HINT}")
    return Alias(name=spec.name, type=spec.type, parent="" if spec.noParent else spec.parentUrn or None)


def _timeouts(timeouts: Any) -> dict[str, float]:
    """Seconds by operation, from durations such as `1h30m`."""
    texts = {name: getattr(timeouts, name) for name in ("create", "update", "delete", "read")}
    return {name: _seconds(text) for name, text in texts.items() if text}


def _seconds(text: str) -> float:
    parts = re.findall(r"([0-9.]+)(ms|h|m|s)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise EngineError(f"customTimeouts: '{text}' is not a duration. Expected for example '90s' or '1h30m'.")
    seconds: float = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return int(seconds) if seconds.is_integer() else seconds
