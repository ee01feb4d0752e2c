"""The shape of a deployment: what of it has to be there, and of which type, for anything to read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_Check = Callable[[Any], bool]


def _is(*types: type) -> _Check:
    return lambda value: isinstance(value, types)


def _list_of(check: _Check) -> _Check:
    return lambda value: isinstance(value, list) and all(check(item) for item in value)


def _map_of(check: _Check) -> _Check:
    return lambda value: isinstance(value, dict) and all(check(item) for item in value.values())


def _urn(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("urn:pulumi:") and value.count("::") >= 3


def _or_null(check: _Check) -> _Check:
    return lambda value: value is None or check(value)


_text, _flag, _object = _is(str), _is(bool), _is(dict)
_texts = _list_of(_text)

_RESOURCE: dict[str, _Check] = {
    **dict.fromkeys(("type", "id", "parent", "provider", "deletedWith", "created", "modified"), _text),
    **dict.fromkeys(
        ("custom", "delete", "protect", "external", "pendingReplacement", "retainOnDelete", "taint"), _flag
    ),
    **dict.fromkeys(("inputs", "outputs"), _object),
    **dict.fromkeys(
        ("dependencies", "initErrors", "additionalSecretOutputs", "aliases", "ignoreChanges", "replaceOnChanges"),
        _texts,
    ),
    "urn": _urn,
    "propertyDependencies": _map_of(_or_null(_texts)),
    "customTimeouts": _map_of(_is(int, float)),
}
_DEPLOYMENT: dict[str, _Check] = {
    "manifest": lambda value: isinstance(value, dict) and _text(value.get("time")) and _text(value.get("version")),
    "secrets_providers": lambda value: (
        isinstance(value, dict)
        and _text(value.get("type", ""))
        and _or_null(_object)(value.get("state"))
        and _text((value.get("state") or {}).get("salt", ""))
    ),
    "resources": _is(list),
    "pending_operations": _list_of(_object),
}


def check_deployment(deployment: Any) -> None:
    """Check that the deployment can be read. Nulls stand for what is left out.

    Raises:
        ValueError: It cannot; the text names the place.
    """
    if deployment is None:
        return
    _check_fields(deployment, "the deployment", _DEPLOYMENT, ())
    for number, resource in enumerate(deployment.get("resources") or []):
        _check_fields(resource, f"resources[{number}]", _RESOURCE, ("urn", "type"))
    for number, operation in enumerate(deployment.get("pending_operations") or []):
        place = f"pending_operations[{number}]"
        _check_fields(operation, place, {"type": _text, "resource": _object}, ("type", "resource"))
        _check_fields(operation["resource"], f"{place}.resource", _RESOURCE, ("urn", "type"))


def _check_fields(value: Any, place: str, checks: dict[str, _Check], required: tuple[str, ...]) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{place} is no object")
    for key, check in checks.items():
        found = value.get(key)
        if (found is None and key in required) or not (found is None or check(found)):
            raise ValueError(f"{place} has no right '{key}'")
