"""What a service is made of on the `process` target: the input of a rollout."""

import hashlib
import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, validate_by_name=True)


class ServedBundle(_Part):
    """A registered bundle as this machine sees it: `path` is its folder of files, `framework` says who serves it."""

    registry: str
    name: str
    version: int
    digest: str
    path: Path
    framework: Literal["Multi", "Custom"]


class EntryScript(_Part):
    """The entry script: its folder, its file in there, and the digest of all the folder's files."""

    source_directory: Path
    file: str
    digest: str


class ServiceSpec(_Part):
    """A service to run: bundles, environment, script and resources.

    `environment_path` is a built environment (`environment.venv`), `variables` its environment variables. Times are in
    seconds unless their name says otherwise.
    """

    service_name: str
    owner: str
    overwrite: bool
    state_directory: Path
    bundles: tuple[ServedBundle, ...]
    environment_path: Path
    environment_digest: str
    variables: dict[str, str]
    entry_script: EntryScript | None = None
    gpu_cores: int = 0
    cpu_cores: float = 1
    scoring_timeout_ms: int = 60_000
    strategy: Literal["surge", "recreate"] = "surge"
    deadline_seconds: int = 300
    drain_seconds: int = 30

    @property
    def digest(self) -> str:
        """SHA-256 of what a running generation depends on: a rollout is due when it changes."""
        running = self.model_dump(
            mode="json",
            exclude={"owner", "overwrite", "strategy", "deadline_seconds", "drain_seconds"},
        )
        return hashlib.sha256(json.dumps(running, sort_keys=True).encode()).hexdigest()

    @property
    def triton_bundles(self) -> tuple[ServedBundle, ...]:
        """The bundles that Triton serves; none in the scoring-only shape."""
        return tuple(bundle for bundle in self.bundles if bundle.framework == "Multi")
