"""The error of a bundle's check, with every problem at once, and words for the lines of its problems."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from common.errors import UserError


class LayoutError(UserError):
    """Triton, or the target's Triton, would refuse a bundle.

    `problems` has one line for each problem: the file, what is wrong, what was expected, the fix.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__("\n".join(self.problems))


def nearest(word: str, known: Iterable[str]) -> str:
    """Write `; did you mean 'x'?` with the known word that is nearest to a mistyped one; "" where none is near."""
    matches = difflib.get_close_matches(word, sorted(set(known)), n=1)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def listed(words: Iterable[object]) -> str:
    """Join words by commas; `none` where there are no words."""
    return ", ".join(str(word) for word in words) or "none"
