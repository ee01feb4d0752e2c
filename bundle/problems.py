"""What a check finds wrong: every problem at once, each in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from common.errors import UserError


class LayoutError(UserError):
    """A bundle that Triton, or the target's Triton, would refuse.

    `problems` has one line each: the file, what is wrong, what was expected, the fix.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__("\n".join(self.problems))


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known word that is nearest to a mistyped one, else an empty string."""
    matches = difflib.get_close_matches(word, sorted(set(known)), n=1)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def listed(words: Iterable[object]) -> str:
    """Words joined by commas, or `none`."""
    return ", ".join(str(word) for word in words) or "none"
