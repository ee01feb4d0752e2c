"""Turns: decide which run() of a worker goes on, when several have begun.

Azure's server calls run() once at a time. So scripts may keep the data of one request in a global variable, or on one
connection that all requests share. Here a run() has the turn from its beginning to its end, and gives it away only
where nothing of the script's own is half done: while it waits for Triton, in tritonclient (see `serving.triton.hooks`).

    waiting ──► has the turn ──► ended
                 │      ▲
                 ▼      │
           at Triton ──► returning        a run() that returns comes before a run() that waits

CONCURRENT_RUNS changes that: `always` lets others run at every wait, `never` at none.

Two runs could wait for each other: one has a lock of the script's own and its answer from Triton, and the other has the
turn and waits for the lock. So a run() that waits for a lock of this process lets the runs that return from Triton go
on, and no others.
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
    """The turn of one worker, which one greenlet has at a time."""

    def __init__(self, on_free: Callable[[], object], *, changes_at_triton: bool = True) -> None:
        """Begin with a free turn.

        Args:
            on_free: called when nobody has the turn any more.
            changes_at_triton: whether a run() gives the turn away while it waits for Triton.
        """
        self.holder: Any = None  # the greenlet
        self._on_free = on_free
        self.changes_at_triton = changes_at_triton
        self._waiting: deque[_Waiter] = deque()
        self._returning: deque[_Waiter] = deque()  # from Triton
        self._is_idle = False  # the holder waits for a lock

    @property
    def is_own(self) -> bool:
        """Whether the current greenlet has the turn."""
        return self.holder is getcurrent()

    def begin(self, seconds: float) -> bool:
        """Wait for the turn, and take it; False where it is not free within `seconds`."""
        if self.holder is None:
            self.holder = getcurrent()
            return True
        return self._wait(self._waiting, seconds)

    def end(self) -> None:
        """Give the turn away, if the current greenlet has it."""
        if self.holder is not getcurrent():
            return
        queue = self._returning or self._waiting
        if queue:
            self._pass_on(queue)
        else:
            self.holder, self._is_idle = None, False
            self._on_free()

    def leave(self) -> bool:
        """Give the turn away while the current greenlet waits for Triton; False where it does not have the turn."""
        # A thread has one running event loop. Where it is the script's own, nothing may come between two of its steps.
        if self.holder is not getcurrent() or not self.changes_at_triton or _get_running_loop() is not None:
            return False
        self.end()
        return True

    def come_back(self) -> None:
        """Take the turn that `leave` gave away. An exception meanwhile, such as a time limit's, waits until then."""
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
        """Wait for a lock, and let the greenlets that come back from Triton go on: one of them may have the lock."""
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
        self.end()  # the greenlet may just have got the turn

    def _pass_on(self, queue: deque[_Waiter]) -> None:
        self.holder, self._is_idle = None, False  # this comes first: from here on, no time limit strikes
        waiter = queue.popleft()
        self.holder = waiter.greenlet
        waiter.has_turn.set()


class _Waiter:
    def __init__(self) -> None:
        self.greenlet = getcurrent()
        self.has_turn = Event()


_current: Turns | None = None


def use(turns: Turns | None) -> None:
    """Make the locks of this process, and tritonclient's calls, respect these turns; None ends that."""
    global _current
    if turns is not None and _current is None:
        _hook_locks()
    _current = turns


def leave() -> bool:
    """Call `Turns.leave` of this process's turns; False where there are none."""
    return _current is not None and _current.leave()


def come_back() -> None:
    """Call `Turns.come_back` of this process's turns."""
    if _current is not None:
        _current.come_back()


def _hook_locks() -> None:
    # The standard library's conditions, semaphores, events and queues all wait in such a lock.
    original = LockType.acquire

    @functools.wraps(original)
    def acquire(self: Any, blocking: bool = True, timeout: float = -1) -> bool:
        # `original` would let others run before it fails.
        if BoundedSemaphore.acquire(self, False):
            return True
        if not blocking or _current is None:
            return bool(original(self, blocking, timeout))
        return _current.wait_for_lock(lambda: original(self, True, timeout))

    LockType.acquire = acquire
