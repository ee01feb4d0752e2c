"""What differs between two sets of properties, and the property paths that name the places."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from engine.errors import EngineError
from engine.state.values import Properties, bare

Path = tuple[str | int, ...]

_SEGMENT = re.compile(r"""\.?(?P<name>[^.\[\]"]+)|\[(?P<index>\d+|\*)\]|\.?\["(?P<quoted>(?:[^"\\]|\\.)*)"\]""")
_MISSING = object()


@dataclass(frozen=True)
class Diff:
    """What an update would change.

    `detailed` maps a property path to `add`, `delete` or `update`, with `-replace` where that change replaces.
    """

    changed: bool
    replace_keys: tuple[str, ...] = ()
    delete_before_replace: bool = False
    changed_keys: tuple[str, ...] = ()
    detailed: dict[str, str] = field(default_factory=dict)
    of_inputs: bool = True

    @property
    def replaces(self) -> bool:
        """Whether the resource has to be replaced."""
        return bool(self.replace_keys) or any(kind.endswith("-replace") for kind in self.detailed.values())


NO_DIFF = Diff(changed=False)


def compare(old: Properties, new: Properties) -> Diff:
    """Return the difference between two sets of inputs; being secret or not makes none, nor does a null at the top."""
    detailed: dict[str, str] = {}
    _compare(_without_nulls(bare(old)), _without_nulls(bare(new)), (), detailed)
    keys = dict.fromkeys(str(parse_path(path)[0]) for path in detailed)
    return Diff(changed=bool(detailed), changed_keys=tuple(keys), detailed=detailed)


def _without_nulls(properties: Properties) -> Properties:
    return {key: value for key, value in properties.items() if value is not None}


def _compare(old: Any, new: Any, path: Path, detailed: dict[str, str]) -> None:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            _compare(old.get(key, _MISSING), new.get(key, _MISSING), (*path, key), detailed)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            _compare(_at(old, index), _at(new, index), (*path, index), detailed)
    elif old is _MISSING:
        detailed[format_path(path)] = "add"
    elif new is _MISSING:
        detailed[format_path(path)] = "delete"
    elif old != new or isinstance(old, bool) != isinstance(new, bool):
        detailed[format_path(path)] = "update"


def _at(items: list[Any], index: int) -> Any:
    return items[index] if index < len(items) else _MISSING


def format_path(path: Path) -> str:
    """Return the path in Pulumi's notation: `ports[0].name`, `labels["a.b"]`."""
    text = ""
    for segment in path:
        if isinstance(segment, int):
            text += f"[{segment}]"
        elif re.fullmatch(r"[\w$*-]+", segment):
            text += f".{segment}" if text else segment
        else:
            escaped = segment.replace("\\", "\\\\").replace('"', '\\"')
            text += f'["{escaped}"]'
    return text


def parse_path(text: str) -> Path:
    """Return the segments of a path, the inverse of `format_path`. `*` stands for every key or index."""
    path: list[str | int] = []
    position = 0
    while position < len(text):
        match = _SEGMENT.match(text, position)
        if match is None:
            raise EngineError(f"'{text}' is not a property path. Expected for example 'ports[0].name'.")
        if (index := match["index"]) is not None:
            path.append("*" if index == "*" else int(index))
        elif (quoted := match["quoted"]) is not None:
            path.append(re.sub(r"\\(.)", r"\1", quoted))
        else:
            path.append(match["name"])
        position = match.end()
    return tuple(path)


def keep_old(old: Properties, new: Properties, paths: list[str]) -> Properties:
    """Return the new properties with the old values under the paths (`ignoreChanges`)."""
    for text in paths:
        new = _keep(old, new, parse_path(text))
    return new


def _keep(old: Any, new: Any, path: Path) -> Any:
    """Return `new` with the value at the path as it is in `old`, absent where it is absent there."""
    if not path:
        return old
    head, rest = path[0], path[1:]
    if isinstance(old, dict) and isinstance(new, dict):
        result = dict(new)
        for key in [*dict.fromkeys((*new, *old))] if head == "*" else [str(head)]:
            kept = _keep(old.get(key, _MISSING), new.get(key, _MISSING), rest)
            result.pop(key, None) if kept is _MISSING else result.__setitem__(key, kept)
        return result
    if isinstance(old, list) and isinstance(new, list):
        indices = range(min(len(old), len(new))) if head == "*" else [head]
        return [_keep(old[i], item, rest) if i in indices and i < len(old) else item for i, item in enumerate(new)]
    return new


def matches(pattern: str, path: str) -> bool:
    """Tell whether the pattern (`replaceOnChanges`) covers the path: `*` covers every segment."""
    expected, actual = parse_path(pattern), parse_path(path)
    return len(expected) <= len(actual) and all(
        left in ("*", right) for left, right in zip(expected, actual, strict=False)
    )


def replace_on_changes(diff: Diff, patterns: tuple[str, ...]) -> Diff:
    """Return the difference with those changes replacing that the patterns cover."""
    if not patterns:
        return diff
    keys = [key for key in diff.changed_keys if any(matches(pattern, key) for pattern in patterns)]
    detailed = {
        path: f"{kind}-replace"
        if not kind.endswith("-replace") and any(matches(pattern, path) for pattern in patterns)
        else kind
        for path, kind in diff.detailed.items()
    }
    return replace(diff, replace_keys=tuple(dict.fromkeys((*diff.replace_keys, *keys))), detailed=detailed)
