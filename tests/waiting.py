"""Waiting in tests: for a condition, never for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

import httpx

_T = TypeVar("_T")
NOBODY_ANSWERS = (httpx.HTTPError, OSError)


def eventually(
    condition: Callable[[], _T],
    what: str = "the condition",
    seconds: float = 20.0,
    *,
    ignoring: tuple[type[Exception], ...] = (),
) -> _T:
    """Wait until `condition` gives something true, and give that; raises AssertionError after `seconds`.

    Exceptions of `condition` are the test's failure but for those of `ignoring`, which count as not true.
    """
    deadline = time.monotonic() + seconds
    while True:
        failure: Exception | None = None
        try:
            if value := condition():
                return value
        except ignoring as error:
            failure = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}") from failure
        time.sleep(min(0.5, seconds / 500))
