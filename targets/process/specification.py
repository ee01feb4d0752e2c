"""What a service is made of on the `process` target: the input of a rollout."""

import hashlib
import json
from pathlib import Path
from typing import Literal

from targets.machine import specification

__all__ = ["EntryScript", "ServedBundle", "ServiceSpec"]

# What may change without a new generation.
_RESTARTS_NOTHING = {"owner", "overwrite", "strategy", "deadline_seconds"}


class ServedBundle(specification.Part):
    """A registered bundle as this machine sees it: `path` is its folder of files, `framework` says who serves it."""

    registry: str
    name: str
    version: int
    digest: str
    path: Path
    framework: Literal["Multi", "Custom"]


class EntryScript(specification.Part):
    """The entry script: its folder, its file in there, the digest of all the folder's files, and its golden request.

    `golden` is JSON text, `{"request": ..., "response": ...}` or `{}`.
    """

    source_directory: Path
    file: str
    digest: str
    golden: str = "{}"


class ServiceSpec(specification.ServiceSpec):
    """A service to run: bundles, environment and script.

    `environment_path` is a built environment (`environment.venv`), of `environment_digest`.
    """

    bundles: tuple[ServedBundle, ...]
    environment_path: Path
    environment_digest: str
    entry_script: EntryScript | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of what a running generation depends on: a rollout is due when it changes."""
        running = self.model_dump(mode="json", exclude=_RESTARTS_NOTHING)
        return hashlib.sha256(json.dumps(running, sort_keys=True).encode()).hexdigest()

    @property
    def triton_bundles(self) -> tuple[ServedBundle, ...]:
        """The bundles that Triton serves; none in the scoring-only shape."""
        return tuple(bundle for bundle in self.bundles if bundle.framework == "Multi")
