"""The provider's own server with one type of resource more, `Thing`; runs as `python -m tests.provider.things`.

Its `does` says what becomes of a thing that is made, changed or measured.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from common.part import Part
from common.waiting import shielded, wait_until
from provider import resource_type
from provider.server import main


class Inputs(Part):
    """What a thing does; `file` is where it leaves its traces."""

    does: str
    file: Path
    password: str = ""


class Outputs(Part):
    """What is known of a thing."""

    size: int = 0


class ThingType(resource_type.ResourceType[Inputs, Outputs]):
    """Raises, waits, or is made half-way, as `does` says."""

    inputs, outputs = Inputs, Outputs

    def id(self, inputs: Inputs) -> str:
        return "a-thing"

    def create(self, inputs: Inputs, say: resource_type.Say) -> Outputs:
        return self._do(inputs)

    def update(self, old: Inputs, known: Outputs, new: Inputs, say: resource_type.Say) -> Outputs:
        return self._do(new)

    def read(self, inputs: Inputs, known: Outputs, say: resource_type.Say) -> Outputs:
        return self._do(inputs)

    def delete(self, inputs: Inputs, known: Outputs, say: resource_type.Say) -> None:
        self._do(inputs)

    def check_update(self, old: Inputs, known: Outputs, new: Inputs) -> None:
        if new.does == "refuse":
            raise RuntimeError("such an update is refused")

    def _do(self, inputs: Inputs) -> Outputs:
        does: dict[str, Any] = {
            "fail": lambda: _raise(RuntimeError("the new replicas are not ready\n  scorer ended")),
            "show a credential": lambda: _raise(RuntimeError("no answer of https://me:s3cret@host/x?sig=abc")),
            "err": lambda: _raise(KeyError("a mistake of ours")),
            "fail without words": lambda: _raise(OSError()),
            "half": lambda: _raise(
                resource_type.IncompleteError("made, but https://me:s3cret@host/ is silent", Outputs(size=3))
            ),
            "wait": lambda: _wait(inputs.file),
        }
        does.get(inputs.does, lambda: None)()
        return Outputs(size=1)


def _raise(error: Exception) -> None:
    try:
        raise OSError("refused")
    except OSError as cause:
        raise error from cause


def _wait(file: Path) -> None:
    """Wait for nothing, and put things in order whoever ends it."""
    file.write_text("waits")
    try:
        wait_until(lambda: False, seconds=60)
    finally:
        with shielded():
            wait_until(lambda: True, seconds=1)
        file.write_text("in order")


if __name__ == "__main__":
    module = ModuleType("provider.resources.thing")
    vars(module)["ThingType"] = ThingType
    sys.modules[module.__name__] = module
    resource_type.TYPES["Thing"] = ("thing:ThingType", ())
    main(sys.argv[1])
