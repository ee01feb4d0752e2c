"""What every rule does: it ends where it reads a setting that has no valid form."""

import functools
from collections.abc import Callable, Iterator
from typing import ParamSpec

from settings.errors import Mistake
from settings.unreadable import is_unreadable

__all__ = ["rule"]

P = ParamSpec("P")


def rule(judge: Callable[P, Iterator[Mistake]]) -> Callable[P, Iterator[Mistake]]:
    """End a rule where it reads an unreadable setting; the mistakes that it told before do not depend on that one.

    Args:
        judge: Yields mistakes.
    """

    @functools.wraps(judge)
    def judged(*args: P.args, **kwargs: P.kwargs) -> Iterator[Mistake]:
        try:
            yield from judge(*args, **kwargs)
        except AttributeError as error:
            if not is_unreadable(error):
                raise

    return judged
