"""WORKER_PRELOAD: the master imports the script and calls its init() once, so that workers share the memory.

Two processes that write to one connection get each other's answers. So the master shuts down every connection that
init() left open before the first fork, and clients open new ones when they find theirs closed. Threads that init()
started do not exist in the workers: a fork does not copy them.
"""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from serving.script import entry_script
from serving.script.boot import boot
from serving.settings import Settings
from serving.workers import gevent_worker


def load(settings: Settings, is_async: bool) -> entry_script.Script:
    """Import the script and call its init(); the workers of an asynchronous script call init() for themselves.

    Raises:
        BootError: the script failed; the reason is printed.
    """
    if not is_async:
        gevent_worker.patch(settings)
    kept = _sockets()
    loaded = boot(settings, call_init=not is_async)
    for descriptor in _sockets() - kept:
        _shut_down(descriptor)
    return loaded


def _sockets() -> set[int]:
    found = set()
    for path in list(Path("/proc/self/fd").iterdir()):
        try:
            if stat.S_ISSOCK(path.stat().st_mode):
                found.add(int(path.name))
        except OSError:
            continue  # the descriptor of the listing itself
    return found


def _shut_down(descriptor: int) -> None:
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        if connection.family not in (socket.AF_INET, socket.AF_INET6) or connection.type != socket.SOCK_STREAM:
            return
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # not connected
