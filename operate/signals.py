"""What ends a command from outside: it cleans up and goes, once."""

import ctypes
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

__all__ = ["end_in_order"]

_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
_PR_SET_PDEATHSIG = 1


def end_in_order() -> None:
    """Have the signals that end a process end it as an exception does, and a killed `make` do the same.

    A second signal does not disturb the clean-up.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _end)
    if "MAKELEVEL" in os.environ:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    for other in _SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)
