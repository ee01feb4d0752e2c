"""Turns: which run() of a worker goes on, when several have begun.

Scripts were written for a server that calls run() once at a time, and may keep what belongs to one request in a global
variable, or on one connection that all requests share. So a run() has the turn from its beginning to its end, and gives
it away only where nothing of the script's own is half done: while it waits for Triton, in tritonclient (see
`triton_hooks`). CONCURRENT_RUNS says otherwise: `always` lets others run at every wait, `never` at none.

Two runs that wait for each other would wait for ever: one has a lock of the script's own and its answer from Triton,
and the other has the turn and waits for the lock. So a run() that waits for a lock of this process lets those go on
which were with Triton meanwhile, and nobody else.
"""

from __future__ import annotations

import functools
from asyncio import _get_running_loop
from collections import deque
from collections.abc import Callable
from typing import Any

from gevent import getcurrent
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from gevent.thread import LockType


class Turns:
    """The turn of one worker."""

    def __init__(self, on_free: Callable[[], object], *, changes_at_triton: bool = True) -> None:
        """`on_free` is called when the turn is nobody's."""
        self.holder: Any = None  # the greenlet
        self._on_free = on_free
        self.changes_at_triton = changes_at_triton
        self._waiting: deque[_Waiter] = deque()
        self._returning: deque[_Waiter] = deque()  # from Triton
        self._is_idle = False  # the holder waits for a lock

    @property
    def is_own(self) -> bool:
        """Whether the turn is the current greenlet's."""
        return self.holder is getcurrent()

    def begin(self, seconds: float) -> bool:
        """Take the turn, when it is free; False when it was not within `seconds`."""
        if self.holder is None:
            self.holder = getcurrent()
            return True
        return self._wait(self._waiting, seconds)

    def end(self) -> None:
        """Give the turn away, if it is the current greenlet's."""
        if self.holder is not getcurrent():
            return
        queue = self._returning or self._waiting
        if queue:
            self._pass_on(queue)
        else:
            self.holder, self._is_idle = None, False
            self._on_free()

    def leave(self) -> bool:
        """Let others go on while the current greenlet waits for Triton; False where it has no turn to give away."""
        # Nothing may come between two steps of an event loop of the script's own: a thread has one that runs.
        if self.holder is not getcurrent() or not self.changes_at_triton or _get_running_loop() is not None:
            return False
        self.end()
        return True

    def come_back(self) -> None:
        """Take the turn that `leave` gave away. An exception, such as a time limit's, waits until it is back."""
        if self.holder is None:
            self.holder = getcurrent()
            return
        try:
            self._wait(self._returning, None)
        except BaseException:
            if self.holder is None:
                self.holder = getcurrent()
            else:
                self._wait(self._returning, None)
            raise

    def wait_for_lock(self, acquire: Callable[[], bool]) -> bool:
        """Wait for a lock, and let those go on that come back from Triton: one of them may have it."""
        if self.holder is not getcurrent():
            return acquire()
        self._is_idle = True
        if self._returning:
            self._pass_on(self._returning)
        try:
            return acquire()
        finally:
            if self.holder is getcurrent():
                self._is_idle = False
            else:
                self.come_back()

    def _wait(self, queue: deque[_Waiter], seconds: float | None) -> bool:
        waiter = _Waiter()
        queue.append(waiter)
        if self._is_idle and queue is self._returning:
            self._pass_on(queue)
        try:
            waiter.has_turn.wait(seconds)
        except BaseException:
            self._forget(queue, waiter)
            raise
        if self.holder is waiter.greenlet:
            return True
        self._forget(queue, waiter)
        return False

    def _forget(self, queue: deque[_Waiter], waiter: _Waiter) -> None:
        if waiter in queue:
            queue.remove(waiter)
        self.end()  # it may just have got the turn

    def _pass_on(self, queue: deque[_Waiter]) -> None:
        self.holder, self._is_idle = None, False  # first: from here on, a time limit does not strike
        waiter = queue.popleft()
        self.holder = waiter.greenlet
        waiter.has_turn.set()


class _Waiter:
    def __init__(self) -> None:
        self.greenlet = getcurrent()
        self.has_turn = Event()


_current: Turns | None = None


def use(turns: Turns | None) -> None:
    """Have the locks of this process, and tritonclient's calls, respect these turns."""
    global _current
    if turns is not None and _current is None:
        _hook_locks()
    _current = turns


def leave() -> bool:
    """`Turns.leave` of this process's turns; False where there are none."""
    return _current is not None and _current.leave()


def come_back() -> None:
    """`Turns.come_back` of this process's turns."""
    if _current is not None:
        _current.come_back()


def _hook_locks() -> None:
    # Conditions, semaphores, events and queues of the standard library all wait in one of these.
    original = LockType.acquire

    @functools.wraps(original)
    def acquire(self: Any, blocking: bool = True, timeout: float = -1) -> bool:
        # Not `original`: where that fails, it lets others run first.
        if BoundedSemaphore.acquire(self, False):
            return True
        if not blocking or _current is None:
            return bool(original(self, blocking, timeout))
        return _current.wait_for_lock(lambda: original(self, True, timeout))

    LockType.acquire = acquire
