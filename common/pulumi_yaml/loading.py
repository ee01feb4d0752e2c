"""Read and write YAML with Pulumi's scalars."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

from common.pulumi_yaml.scalars import moment, number


class _Loader(yaml.SafeLoader):
    """Resolves plain scalars as the CLI does: `on` and `1:30` are text, `0123` is 83."""


class _Dumper(yaml.SafeDumper):
    """Write in the layout of the CLI, so that a file that both engines write keeps its layout.

    The CLI writes with go-yaml 3: it indents lists, quotes a text that YAML 1.1, YAML 1.2 or the CLI would read as
    another type, and writes a text of several lines as a literal block.
    """

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    tag = "tag:yaml.org,2002:str"
    ambiguous = dumper.resolve(yaml.ScalarNode, text, (True, False)) != tag  # type: ignore[no-untyped-call]
    style = "|" if "\n" in text else '"' if ambiguous else None
    return dumper.represent_scalar(tag, text, style=style)


_Dumper.add_representer(str, _text)


class _Scalar:
    """A test of plain scalars in the form that PyYAML expects: an object with a pattern's method `match`."""

    def __init__(self, match: Callable[[str], object]) -> None:
        self.match = match


_INFINITE = {f"{sign}.{word}" for sign in ("", "+", "-") for word in ("inf", "Inf", "INF")} | {".nan", ".NaN", ".NAN"}
_NUMBER = _Scalar(lambda text: text in _INFINITE or number(text) is not None)
_MOMENT = _Scalar(lambda text: moment(text) is not None)
_RESOLVERS: tuple[tuple[str, _Scalar, list[str]], ...] = (
    ("bool", _Scalar({"true", "True", "TRUE", "false", "False", "FALSE"}.__contains__), list("tTfF")),
    ("null", _Scalar({"~", "null", "Null", "NULL", ""}.__contains__), ["~", "n", "N", ""]),
    ("merge", _Scalar({"<<"}.__contains__), ["<"]),
    ("timestamp", _MOMENT, list("0123456789")),
    ("float", _NUMBER, list("-+.0123456789")),
)
_HAS_VALUE = re.compile(r"(?P<name>[A-Za-z][\w-]*): +[A-Za-z0-9]")
_Loader.yaml_implicit_resolvers = {}
for _tag, _scalar, _first in _RESOLVERS:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _scalar, _first)
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _scalar, _first)


def _number(loader: _Loader, scalar: yaml.ScalarNode) -> int | float:
    text = loader.construct_scalar(scalar)
    value = number(text)
    if value is None:
        what = "is not finite, which Pulumi's configuration cannot hold" if text in _INFINITE else "is no number"
        raise yaml.constructor.ConstructorError(
            None, None, f"'{text}' {what}; a text goes in quotes", scalar.start_mark
        )
    return value


def _moment(loader: _Loader, scalar: yaml.ScalarNode) -> str:
    text: str = loader.construct_scalar(scalar)
    return moment(text) or text


def _binary(loader: _Loader, scalar: yaml.ScalarNode) -> str:
    return loader.construct_yaml_binary(scalar).decode(errors="replace")


_Loader.add_constructor("tag:yaml.org,2002:binary", _binary)
_Loader.add_constructor("tag:yaml.org,2002:int", _number)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _moment)


def load(text: str) -> Any:
    """Read a document.

    Raises:
        yaml.YAMLError: The text is no YAML.
        ValueError: A scalar does not have the form of its tag.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        error.problem = f"{error.problem}{_hint(text, error)}"
        raise


def _hint(text: str, error: yaml.MarkedYAMLError) -> str:
    """Say what an indented line stands below, where that has a value; "" where something else is wrong.

    Pulumi writes `encryptionsalt` behind the settings, so the end of the file is no place for another setting.
    """
    mark = error.problem_mark
    if error.problem != "mapping values are not allowed here" or mark is None:
        return ""
    *before, line = text.split("\n")[: mark.line + 1]
    above = [(number, other) for number, other in enumerate(before, 1) if other.strip()]
    found = _HAS_VALUE.match(above[-1][1]) if above else None
    if found is None or not line.startswith(" "):
        return ""
    return (
        f"; the line is indented below '{found['name']}' (line {above[-1][0]}), which is no group: move it into its "
        "group, which is 'config' for settings"
    )


def node(text: str) -> yaml.Node | None:
    """Read a document's tree, which knows the place of everything in the text; None where the document is empty."""
    return yaml.compose(text, Loader=_Loader)


def dump(value: Any) -> str:
    """Write a value as YAML, in the value's order, one entry a line."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6, default_flow_style=False)
