"""Write what people and editors read about settings, `docs/settings.md` and a JSON Schema, from the settings' types.

    python -m settings.reference

writes both files; `make lint` and the tests fail while one is stale.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from settings.azure_names import AZURE_NAMES, SAME_NAMES
from settings.group import Group, types_in
from settings.project_path import ProjectPath
from settings.schema import MODEL_ID, RegisteredModelId, Settings, Target

__all__ = ["Row", "files", "json_schema", "markdown", "rows", "unit_of"]

NAMESPACE = "triton-serving"
UNITS = {
    "Seconds": "s",
    "Ms": "ms",
    "Megabytes": "MB",
    "Mb": "MB",
    "Gb": "GB",
    "GbLimit": "GB",
    "Cores": "cores",
    "gpuCores": "GPUs",
    "CoresLimit": "cores",
    "PerSecond": "1/s",
    "pause": "s, m or h",
    "Utilization": "%",
}
"""The unit of a setting, by the end of its name."""

_TYPES = {str: "text", int: "whole number", float: "number", bool: "true or false", SecretStr: "text, encrypted"}
_SECURE = {
    "type": "object",
    "properties": {"secure": {"type": "string"}},
    "required": ["secure"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Row:
    """One setting, as the table shows it.

    Attributes:
        azure: Azure's names for it.
        targets: The targets that heed it.
    """

    path: str
    type: str
    unit: str
    default: str
    azure: str
    targets: tuple[str, ...]
    description: str


def rows() -> list[Row]:
    """List every setting, in the order of the tree."""
    return list(_rows(Settings, "", tuple(target.value for target in Target)))


def _rows(group: type[Group], prefix: str, targets: tuple[str, ...]) -> Iterator[Row]:
    for field in group.model_fields.values():
        path = f"{prefix}{field.alias}"
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        named = extra.get("targets", targets)
        heeding = tuple(str(name) for name in named) if isinstance(named, list | tuple) else targets
        inner = [found for found in types_in(field.annotation) if issubclass(found, Group)]
        in_list = list in types_in(field.annotation)
        if not inner or in_list or field.default is None:
            yield Row(
                path=path,
                type=_type(field.annotation),
                unit=unit_of(path),
                default=_default(field),
                azure=", ".join(_azure_names(path)),
                targets=heeding,
                description=field.description or "",
            )
        for child in inner:
            if child is not RegisteredModelId:
                yield from _rows(child, f"{path}{'[]' if in_list else ''}.", heeding)


def _type(annotation: Any) -> str:
    """Say a type in words."""
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    kinds = [str if issubclass(kind, ProjectPath) else kind for kind in types_in(annotation)]
    if choice := next((kind for kind in kinds if issubclass(kind, Enum)), None):
        return " or ".join(f"`{member.value}`" for member in choice)
    literals = [part for part in get_args(annotation) if get_origin(part) is Literal]
    if literals:
        return _type(literals[0])
    if RegisteredModelId in kinds:
        return "list of groups, or `name:version`"
    if any(issubclass(kind, Group) for kind in kinds):
        return "list of groups" if list in kinds else "group"
    plain = next(_TYPES[kind] for kind in kinds if kind in _TYPES)
    if dict in kinds:
        return f"names and {plain}"
    return f"list of {plain}" if list in kinds else plain


def unit_of(path: str) -> str:
    """Tell the unit of a setting; "" where it has none."""
    ends = sorted((end for end in UNITS if path.endswith(end)), key=len)
    return UNITS[ends[-1]] if ends else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if isinstance(value, Enum):
        value = value.value
    return "" if value in (None, {}, [], "", PydanticUndefined) else f"`{json.dumps(value)}`".replace('"', "")


def _azure_names(path: str) -> Iterator[str]:
    name = re.compile(rf"(?<![\w.]){re.escape(path)}(?![\w.\[\]]*\w)")
    if path in SAME_NAMES:
        yield "the same"
    for azure, here in AZURE_NAMES.items():
        if name.search(here) and not here.startswith("nothing"):
            yield f"`{azure}`"


def markdown() -> str:
    """Write the text of `docs/settings.md`: a table for each group of settings."""
    lines = [
        "# Settings",
        "",
        "<!-- Made by `python -m settings.reference` from the types in settings/. Do not edit. -->",
        "",
        "The settings of `stacks/Pulumi.<stack>.yaml`, each under `config:` with `triton-serving:` before its name.",
        "Relative paths start at the project and may leave it. Unknown names are refused at preview, as is a setting",
        "that the stack's target does not heed. `stacks/schema.json` lets editors complete and check settings while",
        "you type: each stack file names it in its first line.",
    ]
    everywhere = tuple(target.value for target in Target)
    sections: dict[str, list[Row]] = {}
    for row in rows():
        sections.setdefault(_section(row.path), []).append(row)
    for section, members in sections.items():
        lines += ["", f"## `{section}`" if section else "## The service", ""]
        lines += ["| setting | type | unit | default | Azure's name | targets | meaning |", f"|{'---|' * 7}"]
        for row in members:
            targets = "all" if row.targets == everywhere else ", ".join(row.targets)
            meaning = row.description.replace("|", "\\|")
            cells = (f"`{row.path}`", row.type, row.unit, row.default, row.azure, targets, meaning)
            lines.append(f"| {' | '.join(cells)} |")
    found = " ".join(row.azure for row in rows())
    nothing = [f"| `{azure}` | {here} |" for azure, here in AZURE_NAMES.items() if f"`{azure}`" not in found]
    lines += ["", "## Azure's names without a setting of their own", "", "| there | here |", "|---|---|", *nothing]
    return "\n".join(lines) + "\n"


def _section(path: str) -> str:
    """Name the group that shows a setting: the outermost group, or within the largest, `nodePool`, the second one."""
    *groups, _ = path.replace("[]", "").split(".")
    return ".".join(groups[: 2 if groups[:1] == ["nodePool"] else 1])


def json_schema() -> dict[str, Any]:
    """Make `stacks/schema.json`, the JSON Schema of a stack's file, for editors."""
    tree = Settings.model_json_schema(by_alias=True)
    definitions = tree.pop("$defs")
    definitions["RegisteredModelId"] = {
        "type": "string",
        "pattern": f"^{re.sub(r'[?]P<[a-z]+>', '', MODEL_ID.pattern)}$",
        "description": "a registered version, as in triton_model:1",
    }
    for definition in definitions.values():
        definition.pop("title", None)
        for value in definition.get("properties", {}).values():
            _tidy(value)
    properties = {}
    for name, value in tree["properties"].items():
        _tidy(value)
        if value.pop("writeOnly", None) or any(part.pop("writeOnly", None) for part in value.get("anyOf", [])):
            value = {"description": value.get("description", ""), **_SECURE}
        properties[f"{NAMESPACE}:{name}"] = value
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A stack of NVIDIA Triton model serving",
        "type": "object",
        "properties": {
            "config": {
                "type": "object",
                "properties": properties,
                "required": [f"{NAMESPACE}:{name}" for name in tree["required"]],
                "patternProperties": {f"^(?!{NAMESPACE}:)": {}},
                "additionalProperties": False,
            },
            "encryptionsalt": {"type": "string"},
            "secretsprovider": {"type": "string"},
            "encryptedkey": {"type": "string"},
        },
        "additionalProperties": False,
        "definitions": definitions,
    }


def _tidy(value: dict[str, Any]) -> None:
    """Leave out what says nothing to an editor; name the definitions as draft 7 does."""
    value.pop("title", None)
    value.pop("targets", None)
    value.pop("discriminator", None)
    if value.get("default") is None or isinstance(value["default"], dict):
        value.pop("default", None)
    if value.get("type") == "object" and value.get("additionalProperties") == {"type": "string"}:
        value["additionalProperties"] = {"type": ["string", "number", "integer"]}
    for inner in (value.get("items"), *value.get("anyOf", []), *value.get("oneOf", [])):
        if isinstance(inner, dict):
            _tidy(inner)


def files() -> dict[Path, str]:
    """Give each file that is made from the settings, relative to the project, with the text that it should have."""
    schema = json.dumps(json_schema(), indent=2).replace("#/$defs/", "#/definitions/") + "\n"
    return {Path("docs/settings.md"): markdown(), Path("stacks/schema.json"): schema}


def main(project: Path) -> None:
    """Write the files below the project's folder."""
    for path, text in files().items():
        (project / path).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main(Path(__file__).resolve().parents[1])
