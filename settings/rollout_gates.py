"""What a new version proves before it gets traffic, beyond its probe: the gates of `deployment.rollout`."""

from typing import Annotated

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt

from serving.proving.json_path import JsonPath
from settings.group import Group

__all__ = ["Performance", "Replay"]


def _json_path(value: str) -> str:
    try:
        JsonPath.parse(value)
    except ValueError:
        raise ValueError("a JSON path, as in '$.id' or '$.outputs[*].data[0]'") from None
    return value


class Replay(Group):
    """The same requests to the old and the new version, whose answers must be alike."""

    requests: PositiveInt = Field(
        default=200, le=100_000, description="how many: the newest that COLLECT_URL holds, else golden requests"
    )
    max_mismatch: float = Field(default=0.01, ge=0, lt=1, description="the share of answers that may differ")
    tolerance: float = Field(default=0.001, ge=0, description="by which numbers may differ, absolute and relative")
    ignore: list[Annotated[str, AfterValidator(_json_path)]] = Field(
        default=[], description="JSON paths of what is not compared, as in '$.id'"
    )


class Performance(Group):
    """A load on the new version, interleaved with the same load on the old one. It needs one limit at least."""

    concurrency: PositiveInt = Field(default=8, description="requests at once")
    seconds: PositiveInt = Field(default=10, le=3600, description="of load on each version")
    p95_ms: PositiveFloat | None = Field(default=None, description="the most that 95 of 100 requests may take")
    min_throughput: PositiveFloat | None = Field(default=None, description="the fewest requests per second")
    max_slowdown: float | None = Field(
        default=None,
        ge=1,
        description="the most that the new version's p95 may be of the old one's: 1.2 is a fifth longer",
    )

    @property
    def has_own_limits(self) -> bool:
        """Tell whether it judges a version that has none before it."""
        return self.p95_ms is not None or self.min_throughput is not None

    @property
    def has_a_limit(self) -> bool:
        """Tell whether a version can fail."""
        return self.has_own_limits or self.max_slowdown is not None
