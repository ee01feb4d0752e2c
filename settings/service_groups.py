"""The groups of settings that every target heeds: a service's resources, its limits, its rollout, and how it opens.

    the stack's file ──► Deployment (flat) ──► Resources, Limits, Opening, RolloutPlan ──► a specification, a pod

`settings.schema.Deployment` has their fields as its own, so that a stack's file stays flat. A specification
(`targets.machine.specification`) and the objects of a node pool hold the groups whole: a new field is there as soon as
its group has it.
"""

import math
from typing import Literal

from pydantic import ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.config import JsonDict

from settings.group import Group
from settings.rate_limit_service import RateLimitService
from settings.recording import RecordRequests
from settings.rollout_gates import Performance, Replay
from settings.rollout_steps import Analysis, Step

__all__ = ["MACHINE", "Limits", "Opening", "Resources", "Rollout", "RolloutPlan"]

MACHINE: JsonDict = {"targets": ["process", "docker"]}
"""The targets that heed a setting of this machine: for what is written about settings (`settings.reference`)."""

_IN_CODE = ConfigDict(validate_by_name=True)
"""Code names the fields as Python does; a stack's file may not (`Deployment`)."""


class Resources(Group):
    """What one generation may use of a machine or of a node."""

    model_config = _IN_CODE

    gpu_cores: NonNegativeInt = Field(default=0, description="GPUs of one generation")
    cpu_cores: PositiveFloat = Field(
        default=1, description="on process also the threads of a model that asks for no number"
    )
    memory_gb: PositiveFloat = Field(default=4, description="of one generation: Triton and the entry script's server")

    @property
    def has_gpu(self) -> bool:
        """Tell whether models may run on a GPU."""
        return self.gpu_cores > 0

    @property
    def threads(self) -> int:
        """Threads that compute at once: one for each whole core, and at least one."""
        return max(1, int(self.cpu_cores))

    @property
    def memory_mb(self) -> int:
        """MiB of `memory_gb`."""
        return round(self.memory_gb * 1024)


class Limits(Group):
    """What one request may take, at the front door and behind it."""

    model_config = _IN_CODE

    scoring_timeout_ms: PositiveInt = Field(default=60_000, description="for one request, through the front door")
    max_request_megabytes: PositiveInt = Field(default=64, description="of one request's body; larger ones get 413")

    @property
    def scoring_seconds(self) -> float:
        """Seconds that one request may take."""
        return self.scoring_timeout_ms / 1000

    @property
    def max_request_bytes(self) -> int:
        """Bytes that one request's body may have."""
        return self.max_request_megabytes * 2**20


class Opening(Group):
    """How the front door opens to clients."""

    model_config = _IN_CODE

    auth_enabled: bool = Field(default=True, description="ask clients for a key")
    port: int = Field(default=6789, ge=1, le=65535, description="of the front door", json_schema_extra=MACHINE)
    metrics_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="of the front door's metrics, on loopback; by default a free one",
        json_schema_extra=MACHINE,
    )
    public: bool = Field(
        default=False, description="listen on all addresses instead of loopback alone", json_schema_extra=MACHINE
    )
    max_requests_per_second: PositiveInt | None = Field(
        default=None, description="of all clients together, at each front door; more get 429"
    )
    rate_limit_service: RateLimitService | None = Field(
        default=None,
        description="a service of your own that counts requestsPerSecond of each client over all front doors, see "
        "clients.md",
    )
    access_log: bool = Field(
        default=False,
        description="write a line of JSON for each request, see logs.md; the front door takes about 12 % more CPU then",
    )
    record_requests: RecordRequests | None = Field(
        default=None,
        description="record a sample of the requests to Triton, for the replay of a later version, see new-version.md",
    )

    @property
    def ports(self) -> dict[str, int]:
        """Give the ports that the front door has on this machine, each by the name of its setting."""
        wanted = {"deployment.port": self.port, "deployment.metricsPort": self.metrics_port}
        return {setting: port for setting, port in wanted.items() if port is not None}


class Rollout(Group):
    """How a new version earns its traffic."""

    strategy: Literal["surge", "recreate"] = Field(
        default="surge", description="surge starts the new version beside the old; recreate stops the old one first"
    )
    deadline_seconds: PositiveInt = Field(default=300, description="for the new version to pass its probe")
    drain_seconds: NonNegativeInt | None = Field(
        default=None,
        description="for requests under way on the old version; by default deployment.scoringTimeoutMs",
    )
    replay: Replay | None = Field(
        default=None,
        description="before traffic, the same requests to both versions, whose answers must be alike",
    )
    performance: Performance | None = Field(
        default=None,
        description="before traffic, a load on the new version, which must be fast enough",
    )
    steps: list[Step] = Field(
        default=[],
        description="shares of the traffic that a new version gets one after another, before it gets all of it",
    )
    analysis: Analysis | None = Field(default=None, description="what the requests of each step must show")
    canary_traffic_percent: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="instead of steps: the share that a new version keeps until a later `up`; 0 takes it back",
    )

    @property
    def has_gates(self) -> bool:
        """Tell whether a new version proves itself before it gets any traffic."""
        return self.replay is not None or self.performance is not None

    @property
    def largest_share(self) -> int:
        """The most percent of the requests that a candidate gets, answered or as copies; 0 where it gets none."""
        shares = [share or 0 for step in self.steps for share in (step.set_weight, step.mirror)]
        return max([self.canary_traffic_percent or 0, *shares])

    def plan(self, limits: Limits) -> "RolloutPlan":
        """Decide what the settings leave open: a drain takes by default as long as any request may take."""
        drain = math.ceil(limits.scoring_seconds) if self.drain_seconds is None else self.drain_seconds
        return RolloutPlan(**{name: getattr(self, name) for name in Rollout.model_fields} | {"drain_seconds": drain})


class RolloutPlan(Rollout):
    """A rollout with nothing left open, as targets take it."""

    model_config = _IN_CODE

    drain_seconds: NonNegativeInt = Field(description="for requests under way on the old version")

    @property
    def gates_seconds(self) -> int:
        """The most seconds that replay and performance take: replay sends each request twice."""
        replay = 60 + self.replay.requests if self.replay else 0
        performance = 30 + 4 * self.performance.seconds if self.performance else 0
        return replay + performance

    @property
    def steps_seconds(self) -> int:
        """The seconds that all steps take."""
        return sum(step.pause for step in self.steps)

    @property
    def graceful_seconds(self) -> int:
        """Seconds in which a program finishes its requests: programs take no 0."""
        return max(1, self.drain_seconds)
