"""Wait for a condition, and end all waiting of this process when somebody cancels.

    rollout.apply ──► wait_until(...)      polls, and raises Cancelled once cancel() was called
         │ except/finally
         └──────────► with shielded():     what must be put in order is still waited for
                          wait_until(...)

`cancel` holds for the rest of the process: whoever calls it wants to end.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

__all__ = ["Cancelled", "cancel", "shielded", "wait_until"]

_T = TypeVar("_T")
_cancelled = threading.Event()
_is_shielded = ContextVar("_is_shielded", default=False)


class Cancelled(Exception):
    """Somebody cancelled what this process does; a rollout that meets it puts things in order and passes it on."""

    def __init__(self) -> None:
        super().__init__("cancelled")


def cancel() -> None:
    """End all waiting of this process with `Cancelled`, now and from now on; any thread may call this."""
    _cancelled.set()


@contextmanager
def shielded() -> Iterator[None]:
    """Let the waits of a block go on although somebody cancelled: for clean-up, and for steps that must be finished."""
    token = _is_shielded.set(True)
    try:
        yield
    finally:
        _is_shielded.reset(token)


def wait_until(condition: Callable[[], _T], *, seconds: float, every: float = 0.2) -> _T:
    """Ask a condition until its answer is true, and at least once.

    Args:
        condition: Gives something true when the wait is over; what it raises ends the wait.
        seconds: How long to ask at most.
        every: How long to pause between two questions.

    Returns:
        The first true answer, or the last answer when the time is over.

    Raises:
        Cancelled: Somebody called `cancel`, and the wait is not `shielded`.

    Example:
        if not wait_until(lambda: socket.exists(), seconds=30):
            raise ServiceError("nobody listens after 30 s")
    """
    deadline = time.monotonic() + seconds
    _pause(0)
    while not (answer := condition()):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        _pause(min(every, left))
    return answer


def _pause(seconds: float) -> None:
    if _is_shielded.get():
        time.sleep(seconds)
    elif _cancelled.wait(seconds):
        raise Cancelled
