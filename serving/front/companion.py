"""Companions: processes that the master keeps beside Gunicorn's workers."""

from __future__ import annotations

import ctypes
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable

logger = logging.getLogger("gunicorn.error")

_PR_SET_PDEATHSIG = 1
_SIGNALS = (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR1)
_IGNORED = (signal.SIGINT, signal.SIGUSR2, signal.SIGWINCH)


class Companion:
    """One process that runs `main`; `keep_alive` starts it again when it has ended."""

    def __init__(self, name: str, main: Callable[[], None]) -> None:
        self._name = name
        self._main = main
        self._pid = 0
        self._end = -1  # a file descriptor that becomes readable when the process ends

    def keep_alive(self) -> None:
        """Start the process if it does not run."""
        if self._end >= 0:
            if not self._has_ended(0):
                return
            os.close(self._end)
            logger.error("The %s process (pid:%s) ended. Starting another.", self._name, self._pid)
            time.sleep(0.1)
        master = os.getpid()
        pid = os.fork()
        if pid:
            self._pid, self._end = pid, os.pidfd_open(pid)
        else:
            self._run(master)

    def stop(self, seconds: float, signal_number: int | None = signal.SIGTERM) -> None:
        """Tell the process to end, wait, and kill it if it has not ended.

        Args:
            seconds: how long it may take.
            signal_number: the signal that tells it; None where it notices by itself.
        """
        if self._end < 0:
            return
        if signal_number is not None and not self._has_ended(0):
            os.kill(self._pid, signal_number)
        if not self._has_ended(seconds):
            os.kill(self._pid, signal.SIGKILL)

    def _has_ended(self, seconds: float) -> bool:
        return bool(select.select([self._end], [], [], seconds)[0])

    def _run(self, master: int) -> None:
        status = 1
        try:
            die_with(master)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            for number in _IGNORED:
                signal.signal(number, signal.SIG_IGN)
            self._main()
            status = 0
        except Exception:
            logger.exception("The %s process failed", self._name)
        finally:
            logging.shutdown()
            os._exit(status)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when `parent`, the process that forked it, ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)
