"""Paths into JSON that name what is not compared: members, indices, and `*` for all of them (a part of RFC 9535).

$.id    $.outputs[0].data    $.items[*].time    $["a name"]    $.*    $.text.json().id

The step `json()` leads into a text that is JSON itself. Where the whole answer is such a text, a path needs no step.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Step = str | int
"""A member's name, or an index."""

AS_JSON = "json()"
"""The step into a text that is JSON itself."""

_STEP = re.compile(
    r"""\.(?P<name>\*|[^\s.\[\]"']+)|\[(?P<index>\*|\d+)\]|\[(?P<quote>["'])(?P<quoted>.*?)(?P=quote)\]"""
)


@dataclass(frozen=True)
class JsonPath:
    """A path; it covers a place when it leads there or to something around it."""

    steps: tuple[Step | None, ...]
    """None stands for every member or index."""

    @classmethod
    def parse(cls, text: str) -> JsonPath:
        """Read a path.

        Raises:
            ValueError: The text is no path, or a kind of path that this class does not know.
        """
        steps: list[Step | None] = []
        at = 1
        while text.startswith("$") and at < len(text) and (found := _STEP.match(text, at)):
            index, name, quoted = found["index"], found["name"], found["quoted"]
            if "*" in (index, name):
                steps.append(None)
            else:
                steps.append(int(index) if index is not None else name if name is not None else quoted)
            at = found.end()
        if not text.startswith("$") or at != len(text):
            raise ValueError(f"'{text}' is no path that is understood; expected one as in $.id or $.outputs[*].data[0]")
        return cls(tuple(steps))

    def covers(self, place: tuple[Step, ...]) -> bool:
        """Tell whether a place is the path's, or inside it."""
        if place[:1] == (AS_JSON,) and self.steps[:1] != (AS_JSON,) and self.covers(place[1:]):
            return True
        return len(self.steps) <= len(place) and all(
            wanted is None or wanted == step for wanted, step in zip(self.steps, place, strict=False)
        )


def written(place: tuple[Step, ...]) -> str:
    """Write a place as a path."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
