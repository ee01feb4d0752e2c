"""The error that lists every mistake in a stack's settings."""

from collections.abc import Sequence
from dataclasses import dataclass

from common.errors import UserError
from common.redaction import redacted

__all__ = ["Mistake", "SettingsError", "UnknownStackError"]


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One mistake: the full path of the setting, the value there, and the expected value with the fix."""

    path: str
    expected: str
    value: str | None = None

    def __str__(self) -> str:
        found = "" if self.value is None else f" has the value {self.value}"
        return redacted(f"{self.path}{found}: {self.expected}")


class SettingsError(UserError):
    """Settings have mistakes; the text has a line for each, for people at preview.

    Attributes:
        mistakes: Every mistake.
    """

    def __init__(self, subject: str, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        count = "1 mistake" if len(self.mistakes) == 1 else f"{len(self.mistakes)} mistakes"
        lines = "\n".join(f"  {mistake}" for mistake in self.mistakes)
        super().__init__(f"{subject} has {count}:\n{lines}")


class UnknownStackError(UserError, FileNotFoundError):
    """A stack that has no file; the text lists the stacks that have one."""
