"""The package's schema: resources and components with their properties, made from their declarations."""

import json
from collections.abc import Mapping, Sequence
from inspect import cleandoc
from typing import Any

from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from provider.resource_type import TYPES, resource_type
from settings.reference import unit_of

__all__ = ["schema"]

_PLAIN = {"string", "integer", "number", "boolean"}


def schema(version: str, components: Mapping[str, Any] | None = None) -> str:
    """Give the package's schema as JSON text, in the form of Pulumi's package schema.

    Args:
        version: The package's version.
        components: The package's components by their types' tokens, see `components.plain_inputs`.
    """
    types: dict[str, Any] = {}
    resources = {}
    for name in TYPES:
        kind = resource_type(name)
        inputs = _properties(kind.inputs, types)
        outputs = _properties(kind.outputs, types)
        resources[f"triton:index:{name}"] = {
            "description": cleandoc(type(kind).__doc__ or ""),
            "inputProperties": inputs,
            "requiredInputs": _required(kind.inputs),
            "properties": {**inputs, **outputs},
            "required": sorted({*_required(kind.inputs), *outputs}),
        }
    for token, kind in (components or {}).items():
        resources[token] = _component(kind, types)
    package = {
        "name": "triton",
        "version": version,
        "description": "NVIDIA Triton model serving.",
        "language": {"python": {"respectSchemaVersion": True}},
        "types": _open(types, types),
        "resources": _open(resources, types),
    }
    return json.dumps(package, indent=2, sort_keys=True)


def _open(value: Any, types: Mapping[str, Any]) -> Any:
    """Let a text stand for a member of an enumeration: type checkers would refuse `"node-pool"` otherwise."""
    if isinstance(value, list):
        return [_open(item, types) for item in value]
    if not isinstance(value, dict):
        return value
    opened = {name: _open(item, types) for name, item in value.items()}
    reference = value.get("$ref")
    if isinstance(reference, str) and "enum" in types.get(reference.removeprefix("#/types/"), {}):
        del opened["$ref"]
        opened["oneOf"] = [{"type": "string"}, {"$ref": reference}]
    return opened


def _component(kind: Any, types: dict[str, Any]) -> dict[str, Any]:
    inputs = _properties(kind.Inputs, types)
    for name in kind.NAMED_AFTER_RESOURCE:
        inputs[name].pop("default", None)
        inputs[name]["description"] += "; by default the resource's name"
    outputs = kind.Outputs.model_fields
    return {
        "isComponent": True,
        "description": cleandoc(kind.__doc__ or "").partition("\n\nArgs:")[0],
        "inputProperties": {**inputs, **kind.REFERENCES},
        "requiredInputs": sorted(kind.REQUIRED),
        "properties": _properties(kind.Outputs, types),
        "required": sorted(to_camel(name) for name, info in outputs.items() if type(None) not in _options(info)),
    }


def _options(info: FieldInfo) -> tuple[Any, ...]:
    return getattr(info.annotation, "__args__", ())


def _required(model: type[BaseModel]) -> list[str]:
    return sorted(info.alias or name for name, info in model.model_fields.items() if info.is_required())


def _properties(model: type[BaseModel], types: dict[str, Any]) -> dict[str, Any]:
    described = model.model_json_schema(by_alias=True, mode="validation")
    for name, definition in described.get("$defs", {}).items():
        made = _definition(name, definition, types)
        if types.setdefault(f"triton:index:{name}", made) != made:
            raise TypeError(f"{model.__module__}: another type of the package is named {name}; rename one of them")
    properties = described.get("properties", {})
    return {name: _property(f"{model.__name__}.{name}", value, types) for name, value in properties.items()}


def _definition(of: str, definition: dict[str, Any], types: dict[str, Any]) -> dict[str, Any]:
    if "enum" in definition:
        return _enum(definition["enum"], definition.get("description", ""))
    properties = definition.get("properties", {})
    return {
        "type": "object",
        "description": definition.get("description", ""),
        "properties": {name: _property(f"{of}.{name}", value, types) for name, value in properties.items()},
        "required": sorted(definition.get("required", [])),
    }


def _enum(values: Sequence[str], description: str) -> dict[str, Any]:
    return {"type": "string", "description": description, "enum": [{"value": value} for value in values]}


def _property(path: str, value: dict[str, Any], types: dict[str, Any]) -> dict[str, Any]:
    """Describe a property: its type, description with its unit, default and secretness.

    Args:
        path: The name of the property's group, and its own: `Rollout.strategy`.
        value: Its JSON schema.
        types: Gets the type of an enumeration, under a name made from `path`.
    """
    made = _type(value)
    choices = next((found["enum"] for found in (value, *value.get("anyOf", [])) if "enum" in found), None)
    if choices:
        group, _, name = path.partition(".")
        token = f"triton:index:{group.removesuffix('Settings')}{name[0].upper()}{name[1:]}"
        types[token] = _enum(choices, value.get("description", ""))
        made = {"$ref": f"#/types/{token}"}
    text = value.get("description", "")
    if unit := unit_of(path):
        text = f"{text} (unit: {unit})".strip()
    if text:
        made["description"] = text
    if isinstance(value.get("default"), bool | int | float | str):
        made["default"] = value["default"]
    if _is_secret(value):
        made["secret"] = True
    return made


def _is_secret(value: Any) -> bool:
    """Tell whether a value is a secret, or a mapping of secrets."""
    if not isinstance(value, dict):
        return False
    inner = (*value.get("anyOf", []), value.get("additionalProperties"))
    return bool(value.get("writeOnly")) or any(map(_is_secret, inner))


def _type(value: dict[str, Any]) -> dict[str, Any]:
    options = [option for option in value.get("anyOf", []) if option.get("type") != "null"]
    if len(options) == 1:
        return _type(options[0])
    if options and all(option.get("type") in _PLAIN for option in options):
        return {"oneOf": [_type(option) for option in options]}
    if "$ref" in value:
        return {"$ref": f"#/types/triton:index:{value['$ref'].rpartition('/')[2]}"}
    kind = value.get("type")
    if kind in _PLAIN:
        return {"type": kind}
    if kind == "array":
        return {"type": "array", "items": _type(value.get("items", {}))}
    if kind == "object" and isinstance(value.get("additionalProperties"), dict):
        return {"type": "object", "additionalProperties": _type(value["additionalProperties"])}
    if kind == "object":
        return {"type": "object", "additionalProperties": {"$ref": "pulumi.json#/Any"}}
    if "const" in value:
        return {"type": "string"}
    return {"$ref": "pulumi.json#/Any"}
