"""Processes that a script starts by `multiprocessing`: pools, executors, managers.

In a gevent worker, multiprocessing's threads are greenlets. A read of a pipe, or a wait for a semaphore or for a
process's end, would stop the very threads that it waits for. So here these calls wait as gevent does.

A forked process has all of the worker's memory: its clients' connections, its loop, its signal handlers. It gets a loop
of its own in which nothing else runs, closes the worker's files, and ends when a signal tells it to.

A spawned process starts anew. It has the worker's `sys.path`, does not look for modules in the working directory first,
and finds the script's functions and classes.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from serving.script import import_hooks

_PIPE_BYTES = 4096  # a pipe that is writable takes as many
_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.001, 0.02
_SIGNALS = ("HUP", "INT", "QUIT", "TERM", "ABRT", "USR1", "USR2", "WINCH", "CHLD", "ALRM")
_IN_CHILDREN = str(Path(__file__).with_name("in_children"))


def install() -> None:
    """Prepare this process for spawning others."""
    sys.path.append(_IN_CHILDREN)
    import_hooks.when_imported("multiprocessing.util", _hook_flags)


def part_from(worker: object, descriptors: Callable[[], Iterable[int]]) -> None:
    """Prepare a worker for processes that the script forks from it.

    Args:
        worker: the worker.
        descriptors: lists the files that are the worker's alone; the forked process closes them.
    """

    def hook_forks(module: Any) -> None:
        module.register_after_fork(worker, lambda _: _leave_worker(descriptors()))

    import_hooks.when_imported("multiprocessing.util", hook_forks)


def cooperate() -> None:
    """Make multiprocessing wait as gevent does."""
    import_hooks.when_imported("multiprocessing.connection", _hook_connections)
    import_hooks.when_imported("multiprocessing.synchronize", _hook_semaphores)
    import_hooks.when_imported("multiprocessing.popen_fork", _hook_ends)


def _hook_flags(module: Any) -> None:
    """Keep a new interpreter from looking into the working directory first, which is the script's folder."""
    original = module._args_from_interpreter_flags
    # Before 3.11 only `-I` does that, and keeps the interpreter from Python's variables too.
    flag = "-P" if sys.version_info >= (3, 11) else "-I"
    module._args_from_interpreter_flags = lambda: [*original(), flag]


def _leave_worker(descriptors: Iterable[int]) -> None:
    """Cut a forked process off from its worker, before it does anything else."""
    signal.set_wakeup_fd(-1)
    signal.setitimer(signal.ITIMER_REAL, 0)
    for name in _SIGNALS:
        signal.signal(getattr(signal, f"SIG{name}"), signal.SIG_DFL)
    if "gevent.hub" in sys.modules:
        from gevent.hub import Hub, set_hub

        from serving.workers import turns

        set_hub(Hub(default=False))  # the other requests' greenlets, which are here too, never go on
        turns.use(None)
    for descriptor in descriptors:
        os.close(descriptor)


def _hook_connections(module: Any) -> None:
    from gevent.socket import wait_read, wait_write

    def read(handle: int, size: int) -> bytes:
        while True:
            wait_read(handle)
            try:
                return os.read(handle, size)
            except BlockingIOError:
                continue

    def write(handle: int, content: Any) -> int:
        while True:
            wait_write(handle)
            try:
                return os.write(handle, memoryview(content)[:_PIPE_BYTES])
            except BlockingIOError:
                continue

    # Both functions are default values of arguments.
    for name, function in (("_recv", read), ("_send", write)):
        method = getattr(module.Connection, name)
        method.__defaults__ = (function,)


def _hook_semaphores(module: Any) -> None:
    import gevent

    def acquire(lock: Any, block: bool = True, timeout: float | None = None) -> bool:
        pause, until = _SHORTEST_SECONDS, None if timeout is None else time.monotonic() + max(0.0, timeout)
        while not lock.acquire(False):
            if not block or (until is not None and time.monotonic() >= until):
                return False
            gevent.sleep(pause)
            pause = min(2 * pause, _LONGEST_SECONDS)
        return True

    def make_methods(self: Any) -> None:
        self.acquire = functools.partial(acquire, self._semlock)
        self.release = self._semlock.release

    module.SemLock._make_methods = make_methods
    module.SemLock.__enter__ = lambda self: self.acquire()


def _hook_ends(module: Any) -> None:
    from gevent.socket import wait_read

    popen = module.Popen
    original = popen.wait

    @functools.wraps(original)
    def wait(self: Any, timeout: float | None = None) -> Any:
        if self.returncode is None and timeout is None:
            wait_read(self.sentinel)
        return original(self, timeout)

    popen.wait = wait
