"""Loads a model of Triton's again when its process has died.

Triton's Python backend runs each instance of a model in a process of its own. When a fault in a library or a lack of
memory ends such a process, Triton goes on calling the model ready, and answers each of its requests with "Stub process
... is not healthy". From outside, the process has ended and Triton has not:

    runs ──► ended, model READY ──► unload ──► UNAVAILABLE ──► load ──► runs

Where the model is not READY, Triton ended the process itself: it unloads the model, stops, or could not load the model.
Triton must run with `--model-control-mode=explicit`, in which it unloads and loads when asked.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass

from serving.keeping import process_tree
from serving.probing import probe
from serving.probing.golden_check import Unreachable, excerpt

__all__ = ["Revival"]

STUB = "triton_python_backend_stub"
CALL_SECONDS = 10
LOAD_SECONDS = 600
LONGEST_PAUSE = 30
LOOP, LOOP_SECONDS = 5, 60  # a model that dies more often has a lasting fault


@dataclass(frozen=True)
class _Instance:
    """A model's instance: the model's file, and the instance's name."""

    file: str
    name: str

    def model(self, models: Sequence[str]) -> str | None:
        """Find the model of this instance.

        The model's file lies in a folder of the model's name. Where Triton downloaded it, the folder has another name,
        but the instance's name begins with the model's.

        Returns:
            The model's name; None for a process with exactly that name, which completes a configuration and ends.
        """
        folder = next((part for part in reversed(self.file.split("/")[:-2]) if part in models), None)
        model = folder or max((name for name in models if self.name.startswith(f"{name}_")), key=len, default=None)
        return None if self.name == model else model


class Revival:
    """Looks after the models' processes of the Triton at `url`, a process below this one."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._running: dict[int, _Instance | None] = {}
        self._ended: set[_Instance] = set()
        self._reviving: set[str] = set()
        self._revived: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def look(self, pids: Sequence[int]) -> None:
        """Note which processes ended since the last look, and revive the models of those that ended before.

        Args:
            pids: the processes below this one.
        """
        suspects, self._ended = self._ended, set()
        alive = {pid for pid in pids if not process_tree.has_ended(pid)}
        for pid in self._running.keys() - alive:
            if instance := self._running.pop(pid):
                self._ended.add(instance)
        for pid in alive - self._running.keys():
            arguments = process_tree.arguments(pid)
            if arguments and arguments[0].endswith(STUB):
                self._running[pid] = _instance(arguments)
        for instance in suspects - set(self._running.values()):
            threading.Thread(target=self._revive, args=(instance,), daemon=True).start()

    def _revive(self, instance: _Instance) -> None:
        """Load an instance's model again, however long that takes. This thread ends with the keeper."""
        started = time.monotonic()
        model = instance.model([name for name, state in self._awaited_states().items() if state == "READY"])
        with self._lock:
            if model is None or model in self._reviving:
                return
            self._reviving.add(model)
        _say(f"model {model}: its process ended; loading it again")
        # The unload may never end: a request that met the dead process keeps the old instance.
        self._ask(model, "unload", CALL_SECONDS)
        time.sleep(self._patience(model, started))
        pause = 1.0
        while problem := self._ask(model, "load", LOAD_SECONDS):
            _say(f"model {model}: did not come back: {problem}; trying again in {pause:g} s")
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        _say(f"model {model}: is back after {time.monotonic() - started:.1f} s")
        self._reviving.discard(model)

    def _patience(self, model: str, now: float) -> float:
        """Say how long to wait: a model that dies again and again costs Triton a little memory each time."""
        recent = [before for before in self._revived.get(model, []) if now - before < LOOP_SECONDS]
        self._revived[model] = [*recent, now]
        return LONGEST_PAUSE if len(recent) >= LOOP else 0.0

    def _awaited_states(self) -> dict[str, str]:
        """Ask for the state of each model until Triton answers: it may be starting, or too busy."""
        while True:
            try:
                return self._states()
            except Unreachable:
                time.sleep(1.0)

    def _states(self) -> dict[str, str]:
        """Ask for the state of each model; where its versions differ, the first that is not UNAVAILABLE counts."""
        status, body = probe.request(f"{self._url}/v2/repository/index", method="POST", body={}, timeout=CALL_SECONDS)
        if status != 200:
            raise Unreachable(f"repository index: {status}")
        states: dict[str, str] = {}
        for entry in json.loads(body):
            state = entry.get("state", "")
            if states.get(entry["name"], "UNAVAILABLE") in ("", "UNAVAILABLE"):
                states[entry["name"]] = state
        return states

    def _ask(self, model: str, what: str, seconds: float) -> str:
        """Ask Triton to load or unload a model; give its reason where that fails, and an empty text otherwise."""
        url = f"{self._url}/v2/repository/models/{urllib.parse.quote(model, safe='')}/{what}"
        try:
            status, body = probe.request(url, method="POST", body={}, timeout=seconds)
        except Unreachable as error:
            return str(error)
        return "" if status == 200 else excerpt(body)


def _instance(arguments: Sequence[str]) -> _Instance | None:
    """Read the instance from a process's command line: the file comes first, the name last but one."""
    return _Instance(arguments[1], arguments[-2]) if len(arguments) > 3 else None


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
