"""What a service is made of on the `process` target: the input of a rollout."""

import hashlib
import json
from pathlib import Path

from settings.service_groups import RolloutPlan
from targets.machine import specification
from targets.served import EntryScript, ServedBundle

__all__ = ["ServiceSpec"]

# What may change without a new generation.
_RESTARTS_NOTHING: dict[str, bool | set[str]] = {
    "owner": True,
    "overwrite": True,
    "rollout": set(RolloutPlan.model_fields) - {"drain_seconds"},
}


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
        if self.recorded_megabytes is None:  # a service without a recorder is what it was before there were any
            del running["recorded_megabytes"]
        return hashlib.sha256(json.dumps(running, sort_keys=True).encode()).hexdigest()

    @property
    def triton_bundles(self) -> tuple[ServedBundle, ...]:
        """The bundles that Triton serves; none in the scoring-only shape."""
        return tuple(bundle for bundle in self.bundles if bundle.framework == "Multi")
