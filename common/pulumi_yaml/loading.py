"""Reads and writes YAML by Pulumi's scalars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

from common.pulumi_yaml.scalars import moment, number


class _Loader(yaml.SafeLoader):
    """Resolves plain scalars as the CLI does: `on` and `1:30` are text, `0123` is 83."""


class _Dumper(yaml.SafeDumper):
    """Quotes what neither YAML 1.1, nor YAML 1.2, nor the CLI would read as a text, in the CLI's layout.

    The CLI writes by go-yaml 3: lists are indented, texts that look like another type have double quotes, texts of
    several lines are literal blocks. So a file that both engines write does not change its layout with each.
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
    """What PyYAML asks whether a plain scalar is of a tag: a pattern's `match`."""

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
    """Read the document's content.

    Raises:
        yaml.YAMLError: It is no YAML.
        ValueError: It has one of some scalars that are none.
    """
    return yaml.load(text, Loader=_Loader)


def node(text: str) -> yaml.Node | None:
    """Read the document's tree, which knows where in the text things stand; None where it is empty."""
    return yaml.compose(text, Loader=_Loader)


def dump(value: Any) -> str:
    """Write the value as a YAML text, in its order, one entry a line."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6, default_flow_style=False)
