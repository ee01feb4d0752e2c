"""A preview as one JSON document, in the shape of the CLI's (pkg/display/json.go in its repository)."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from typing import Any

from engine.cli.display import TALLIED, Tally, is_default_provider
from engine.cli.masking import HIDDEN, Mask
from engine.errors import EngineError
from engine.run.goals import Step
from engine.state.checkpoint import STACK_TYPE, Resource, encode_resource
from engine.state.stack_file import Configuration
from engine.state.values import plain

_SHOWN = (*TALLIED, "read")


class Digest:
    """Collects a preview and prints it at the end, with the resources that stay the same on demand."""

    def __init__(self, configuration: Configuration, mask: Mask, *, show_sames: bool = False) -> None:
        self._mask = mask
        self._show_sames = show_sames
        self._config = {
            key: HIDDEN if key in configuration.secret_keys else value
            for key, value in sorted(configuration.values.items())
        }
        self._lock = threading.Lock()
        self._steps: list[dict[str, Any]] = []
        self._diagnostics: list[dict[str, str]] = []
        self._tally = Tally()

    def begin(self, title: str, *, preview: bool) -> None:
        """Take the time."""
        self._began = time.monotonic()

    def started(self, step: Step) -> None:
        """Do nothing: what there is to say of a preview's step is known when it ends."""

    def ended(self, step: Step) -> None:
        """Note the step."""
        if is_default_provider(step.resource):
            return
        with self._lock:
            self._tally.add(step)
            if step.op in _SHOWN and (step.op != "same" or self._tells_same(step)):
                self._steps.append(_step(step))

    def _tells_same(self, step: Step) -> bool:
        return self._show_sames or step.resource.type == STACK_TYPE or _protect_changed(step)

    def failed(self, step: Step, error: EngineError) -> None:
        """Note the error."""
        self.log("error", str(error), step.resource.urn)

    def outputs(self, old: Resource, new: Resource) -> None:
        """Do nothing: the CLI's digest has no outputs."""

    def log(self, severity: str, message: str, urn: str = "") -> None:
        """Note the message."""
        prefix = f"{severity}: " if severity in ("warning", "error") else ""
        diagnostic = {"urn": urn, "message": f"{prefix}{message}\n", "severity": severity}
        with self._lock:
            self._diagnostics.append({key: value for key, value in diagnostic.items() if value})

    def status(self, message: str, urn: str) -> None:
        """Leave the message out, as the CLI's digest does."""

    def line(self, text: str) -> None:
        """Note a line that the program or a provider printed."""
        self.log("info", text)

    def end(self) -> Counter[str]:
        """Print the document.

        Returns:
            The number of resources by operation.
        """
        counts = self._tally.counts()
        document = {
            "config": self._config,
            "steps": self._steps,
            "diagnostics": self._diagnostics,
            "duration": int((time.monotonic() - self._began) * 1e9),
            "changeSummary": dict(sorted(counts.items())),
        }
        shown = self._mask.value({key: value for key, value in document.items() if value})
        json.dump(shown, sys.stdout, indent=4, ensure_ascii=False)
        sys.stdout.write("\n")
        return counts


def _protect_changed(step: Step) -> bool:
    return step.old is not None and step.new is not None and step.old.protect != step.new.protect


def _step(step: Step) -> dict[str, Any]:
    fields: dict[str, Any] = {"op": step.op, "urn": step.resource.urn}
    if step.resource.provider:
        fields["provider"] = step.resource.provider
    if step.old is not None:
        fields["oldState"] = _state(step.old)
    if step.new is not None:
        new = step.new
        if step.op != "replace" or step.old is None or not step.old.delete:
            # What the update is to find out is left out, unless the replacement has been made as far as it goes.
            new = replace(new, id=new.id if step.op == "read" else "", outputs={})
        fields["newState"] = _state(new)
    diff = step.diff
    if diff.changed_keys:
        fields["diffReasons"] = list(diff.changed_keys)
    if diff.replace_keys:
        fields["replaceReasons"] = list(diff.replace_keys)
    fields["detailedDiff"] = {
        path: {"kind": kind, "inputDiff": diff.of_inputs} for path, kind in sorted(diff.detailed.items())
    } or None
    return fields


def _state(resource: Resource) -> dict[str, Any]:
    inputs, outputs = (plain(side, hide=HIDDEN) for side in (resource.inputs, resource.outputs))
    return encode_resource(replace(resource, inputs=inputs, outputs=outputs), str)
