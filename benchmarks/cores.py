"""How busy the machine is while something is measured."""

import psutil

__all__ = ["Cores"]


class Cores:
    """How busy all cores are, from when it was made."""

    def __init__(self) -> None:
        self._before = psutil.cpu_times()

    def busy(self) -> float:
        """The share of their time that they had work, in percent."""
        spent = [now - then for now, then in zip(psutil.cpu_times(), self._before, strict=True)]
        times = dict(zip(self._before._fields, spent, strict=True))
        idle = times["idle"] + times["iowait"]
        # The kernel counts a guest's time in `user` already.
        total = sum(times.values()) - times["guest"] - times["guest_nice"]
        return 100 * (1 - idle / total)
