"""The provider's schema: its types of resources with their properties, made from their declarations."""

import json
from inspect import cleandoc
from typing import Any

from pydantic import BaseModel

from provider.resource_type import TYPES, resource_type

__all__ = ["schema"]

_PLAIN = {"string", "integer", "number", "boolean"}


def schema(version: str) -> str:
    """The package's schema as JSON text, in the form of Pulumi's package schema."""
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
    package = {
        "name": "triton",
        "version": version,
        "description": "NVIDIA Triton model serving.",
        "language": {"python": {"respectSchemaVersion": True}},
        "types": types,
        "resources": resources,
    }
    return json.dumps(package, indent=2, sort_keys=True)


def _required(model: type[BaseModel]) -> list[str]:
    return sorted(info.alias or name for name, info in model.model_fields.items() if info.is_required())


def _properties(model: type[BaseModel], types: dict[str, Any]) -> dict[str, Any]:
    described = model.model_json_schema(by_alias=True, mode="validation")
    for name, definition in described.get("$defs", {}).items():
        types[f"triton:index:{name}"] = _definition(definition)
    return {name: _property(value) for name, value in described.get("properties", {}).items()}


def _definition(definition: dict[str, Any]) -> dict[str, Any]:
    if "enum" in definition:
        return {"type": "string", "enum": [{"value": value} for value in definition["enum"]]}
    return {
        "type": "object",
        "description": definition.get("description", ""),
        "properties": {name: _property(value) for name, value in definition.get("properties", {}).items()},
        "required": sorted(definition.get("required", [])),
    }


def _property(value: dict[str, Any]) -> dict[str, Any]:
    """A property's type, description, default and secretness."""
    made = _type(value)
    if text := value.get("description"):
        made["description"] = text
    if isinstance(value.get("default"), bool | int | float | str):
        made["default"] = value["default"]
    if value.get("writeOnly") or any(option.get("writeOnly") for option in value.get("anyOf", [])):
        made["secret"] = True
    return made


def _type(value: dict[str, Any]) -> dict[str, Any]:
    options = [option for option in value.get("anyOf", []) if option.get("type") != "null"]
    if len(options) == 1:
        return _type(options[0])
    if "$ref" in value:
        return {"$ref": f"#/types/triton:index:{value['$ref'].rpartition('/')[2]}"}
    kind = value.get("type")
    if kind in _PLAIN:
        return {"type": kind}
    if kind == "array":
        return {"type": "array", "items": _type(value.get("items", {}))}
    if kind == "object" and isinstance(value.get("additionalProperties"), dict):
        return {"type": "object", "additionalProperties": _type(value["additionalProperties"])}
    if "const" in value or "enum" in value:
        return {"type": "string"}
    return {"$ref": "pulumi.json#/Any"}
