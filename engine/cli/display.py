"""What a person sees of an operation: a line per resource as it is done, what it says meanwhile, and a summary."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TextIO

from engine.cli.masking import HIDDEN, Mask
from engine.errors import EngineError
from engine.run.goals import Step
from engine.state.checkpoint import PROVIDER_PREFIX, STACK_TYPE, Resource, urn_name, urn_type
from engine.state.values import UNKNOWN_TEXT, Properties, plain

_ANNOUNCE = 1.0
_REPEAT = 15.0
"""Seconds after which a step still under way is named, and named again, where there is no terminal to redraw."""


@dataclass(frozen=True)
class _Words:
    sign: str
    colour: str
    plan: str
    doing: str
    done: str


_OPS = {
    "same": _Words(" ", "", "unchanged", "", "unchanged"),
    "create": _Words("+", "32", "create", "creating", "created"),
    "update": _Words("~", "33", "update", "updating", "updated"),
    "delete": _Words("-", "31", "delete", "deleting", "deleted"),
    "replace": _Words("+-", "35", "replace", "replacing", "replaced"),
    "create-replacement": _Words("++", "32", "create replacement", "creating replacement", "created replacement"),
    "delete-replaced": _Words("--", "31", "delete original", "deleting original", "deleted original"),
    "discard": _Words("<", "", "discard", "discarding", "discarded"),
    "discard-replaced": _Words("<<", "", "discard original", "discarding original", "discarded original"),
    "read": _Words(">", "36", "read", "reading", "read"),
    "refresh": _Words("~", "36", "refresh", "refreshing", "refreshed"),
}
_QUIET = ("same", "read", "discard", "discard-replaced")
_COUNTED = ("create", "update", "replace", "delete", "same")
TALLIED = (*_COUNTED, "discard")


class Tally:
    """What happened to each resource; one that was refreshed and then updated counts once."""

    def __init__(self) -> None:
        self._ops: dict[str, str] = {}

    def add(self, step: Step) -> None:
        """Count the step, where it is of an operation that is counted."""
        urn = step.resource.urn
        if step.op in TALLIED and (step.op != "same" or urn not in self._ops):
            self._ops[urn] = step.op

    def counts(self) -> Counter[str]:
        """Return the number of resources by operation."""
        return Counter(self._ops.values())


def is_default_provider(resource: Resource) -> bool:
    """Tell whether the resource stands for a provider that no program declared."""
    return resource.type.startswith(PROVIDER_PREFIX) and resource.name.startswith("default")


class Display:
    """Writes an operation to a terminal, or as plain lines where there is none. Texts are cleared of secrets."""

    def __init__(
        self,
        mask: Mask,
        *,
        show_diff: bool = False,
        show_sames: bool = False,
        show_outputs: bool = True,
        stream: TextIO | None = None,
    ) -> None:
        self._stream = stream or sys.stdout
        self._terminal = self._stream.isatty()
        self._show_diff = show_diff
        self._show_sames = show_sames
        self._show_outputs = show_outputs
        self._mask = mask
        self._lock = threading.RLock()
        self._stop = threading.Event()

    def begin(self, title: str, *, preview: bool) -> None:
        """Write the operation's title, and show what is under way from now on."""
        self._preview = preview
        self._began = time.monotonic()
        self._running: dict[str, tuple[Step, float]] = {}
        self._statuses: dict[str, str] = {}
        self._tally = Tally()
        self._errors: list[str] = []
        self._outputs: tuple[Properties, Properties] = {}, {}
        self._write(f"{title}:")
        self._stop = threading.Event()
        self._ticker = threading.Thread(target=self._tick, args=(self._stop,), daemon=True)
        self._ticker.start()

    # Steps.

    def started(self, step: Step) -> None:
        """Take the step as under way."""
        with self._lock:
            if not self._preview and not is_default_provider(step.resource):
                self._running[step.resource.urn] = step, time.monotonic()

    def ended(self, step: Step) -> None:
        """Write what became of the step's resource."""
        with self._lock:
            _, began = self._end(step)
            if is_default_provider(step.resource):
                return
            self._tally.add(step)
            words = _OPS[step.op]
            if step.op == "same" and step.diff.changed:
                self._resource(Step("refresh", step.old, step.new, step.diff), "differs", began)
            elif step.op not in _QUIET or self._show_sames:
                self._resource(step, words.plan if self._preview else words.done, began)
                if self._show_diff:
                    self._properties(step)

    def failed(self, step: Step, error: EngineError) -> None:
        """Write that the step failed; the error follows at the end."""
        with self._lock:
            begun, began = self._end(step)
            self._resource(begun, f"{_OPS[begun.op].doing} failed", began)
            self._error(step.resource.urn, str(error))

    def _end(self, step: Step) -> tuple[Step, float]:
        """Take the step as no longer under way. Return it as it was begun, and when."""
        self._statuses.pop(step.resource.urn, None)
        return self._running.pop(step.resource.urn, (step, time.monotonic()))

    def outputs(self, old: Resource, new: Resource) -> None:
        """Note the stack's outputs for the end."""
        if new.type == STACK_TYPE:
            self._outputs = old.outputs, new.outputs

    # Messages.

    def log(self, severity: str, message: str, urn: str = "") -> None:
        """Write a message, beside its resource where that is under way; an error follows at the end."""
        with self._lock:
            if severity == "error":
                self._error(urn, message)
            elif severity == "info" and urn in self._running:
                self._beside(urn, message)
            else:
                prefix = "warning: " if severity == "warning" else ""
                for line in self._mask.text(f"{prefix}{_named(urn, message)}").splitlines():
                    self._write(f"    {line}")

    def status(self, message: str, urn: str) -> None:
        """Show a message that passes: in a terminal's last line, elsewhere in a line of its own when it is new."""
        with self._lock:
            if urn not in self._running:
                return
            text = " ".join(self._mask.text(message).split())
            known, self._statuses[urn] = self._statuses.get(urn), text
            if not self._terminal and text and text != known:
                self._beside(urn, text)

    def _status_of(self, urn: str) -> str:
        return f" {self._statuses[urn]}" if urn in self._statuses else ""

    def _beside(self, urn: str, message: str) -> None:
        """Write a message beside the resource whose step is under way, as the CLI does."""
        step, began = self._running[urn]
        first, *rest = self._mask.text(message).strip().splitlines() or [""]
        self._resource(step, _OPS[step.op].doing, began, first)
        for line in rest:
            self._write(f"    {line}")

    def line(self, text: str) -> None:
        """Write a line that the program or a provider printed."""
        with self._lock:
            self._write(f"    {text}")

    def _error(self, urn: str, message: str) -> None:
        text = self._mask.text(_named(urn, message))
        if text not in self._errors:
            self._errors.append(text)

    # Writing.

    def _resource(self, step: Step, what: str, began: float, message: str = "") -> None:
        words = _OPS[step.op]
        resource = step.resource
        seconds = time.monotonic() - began
        duration = f" ({_duration(seconds)})" if seconds >= 0.1 and not self._preview else ""
        keys = ",".join(sorted(step.diff.detailed) or step.diff.changed_keys)
        diff = f" [diff: {keys}]" if keys and step.op in ("update", "replace", "refresh") else ""
        sign = self._coloured(f"{words.sign:<2}", words.colour)
        retained = "[retain]" if step.op.startswith("delete") and resource.retain_on_delete else ""
        said = f" {message}" if message else ""
        self._write(f" {sign} {resource.type} {resource.name} {what}{duration}{retained}{diff}{said}")

    def _properties(self, step: Step) -> None:
        old = plain(step.old.inputs, hide=HIDDEN) if step.old else {}
        new = plain(step.new.inputs, hide=HIDDEN) if step.new else {}
        for key in sorted(old.keys() | new.keys()):
            if key == "__provider" or old.get(key) == new.get(key):
                continue
            before, after = (_value(side[key]) if key in side else "" for side in (old, new))
            self._write(f"      {key}: {before}{' => ' if before and after else ''}{after}")

    def _coloured(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._terminal and colour else text

    def _write(self, text: str) -> None:
        self._put(self._mask.text(text) + "\n")

    def _put(self, text: str) -> None:
        with self._lock, suppress(OSError):  # nobody may be reading any more; the operation goes on
            self._stream.write(("\r\x1b[K" if self._terminal else "") + text)
            self._stream.flush()

    def _tick(self, stop: threading.Event) -> None:
        """Show what is under way: in a terminal's last line, elsewhere by a line now and then."""
        told: dict[str, float] = {}
        while not stop.wait(0.2):
            now = time.monotonic()
            with self._lock:
                if self._terminal:
                    names = ", ".join(
                        f"{step.resource.name} {_OPS[step.op].doing} {now - began:.0f}s{self._status_of(urn)}"
                        for urn, (step, began) in self._running.items()
                        if step.resource.custom
                    )
                    self._put(names[: shutil.get_terminal_size().columns - 1])
                    continue
                for urn, (step, began) in self._running.items():
                    if step.resource.custom and now - began > told.get(urn, _ANNOUNCE):
                        self._resource(step, f"{_OPS[step.op].doing}", began)
                        told[urn] = now - began + _REPEAT

    def end(self) -> Counter[str]:
        """Write the outputs, the errors and the summary.

        Returns:
            The number of resources by operation.
        """
        self._stop.set()
        self._ticker.join()
        with self._lock:
            old, new = (plain(side, hide=HIDDEN) for side in self._outputs)
            if self._errors:
                self._write("Diagnostics:")
                for text in self._errors:
                    lines = text.splitlines() or [""]
                    self._write(self._coloured("    error: ", "31") + lines[0])
                    for line in lines[1:]:
                        self._write(f"    {line}")
            elif new and self._show_outputs and (old != new or not self._preview):
                self._write("Outputs:")
                width = max(map(len, new))
                for key, value in sorted(new.items()):
                    self._write(f"    {key:<{width}}: {_value(value)}")
            counts = self._tally.counts()
            self._summary(counts)
        return counts

    def _summary(self, counts: Counter[str]) -> None:
        if counts:
            self._write("Resources:")
        for op in _COUNTED:
            if count := counts[op]:
                words = _OPS[op]
                sign = f"{words.sign} " if op != "same" else ""
                what = f"to {words.plan}" if self._preview and op != "same" else words.done
                self._write(f"    {sign}{count} {what}")
        if not self._preview:
            self._write(f"\nDuration: {_duration(time.monotonic() - self._began)}")
        self._write("")


def _named(urn: str, message: str) -> str:
    """Return the message with the name of its resource, unless that is the stack."""
    name = f"{urn_name(urn)}: " if urn and urn_type(urn) != STACK_TYPE else ""
    return name + message.rstrip()


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text.replace(f'"{UNKNOWN_TEXT}"', "[unknown]").replace(f'"{HIDDEN}"', HIDDEN)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f}s"
    return f"{seconds // 60:.0f}m{seconds % 60:02.0f}s"
