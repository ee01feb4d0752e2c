"""How a new version takes over the traffic: the steps of `deployment.rollout.steps`, and what judges them."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, WithJsonSchema

from settings.group import Group

__all__ = ["Analysis", "Step"]

_UNITS = {"s": 1, "m": 60, "h": 3600}
_LONGEST = 7 * 24 * 3600


def _seconds(value: Any) -> Any:
    """Read a duration, as in '60s', '5m' or '1h'; what code gives is a number of seconds already."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = re.fullmatch(r"([0-9]{1,9})([smh])", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("a duration, as in '60s', '5m' or '1h'")
    return int(found[1]) * _UNITS[found[2]]


Duration = Annotated[
    int,
    BeforeValidator(_seconds),
    Field(ge=1, le=_LONGEST),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": "^[0-9]+[smh]$"}, {"type": "integer", "minimum": 1}]}),
]


class Step(Group):
    """A share of the traffic that the new version gets, and for how long: either `mirror` or `setWeight`."""

    mirror: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="percent of the requests that the new version gets as copies, whose answers nobody sees",
    )
    set_weight: int | None = Field(
        default=None, ge=1, le=100, description="percent of the requests that the new version answers"
    )
    pause: Duration = Field(description="how long the step lasts, as in 60s, 5m or 1h")

    @property
    def name(self) -> str:
        """Name the step as messages do."""
        return f"mirror {self.mirror} %" if self.mirror else f"weight {self.set_weight} %"


class Analysis(Group):
    """What the new version's requests must show in each step. It needs one limit at least."""

    max_error_rate: float | None = Field(
        default=None, ge=0, lt=1, description="the share of requests that may fail: 5xx, or its like in gRPC"
    )
    p95_ms: PositiveFloat | None = Field(default=None, description="the most that 95 of 100 requests may take")
    max_slowdown: float | None = Field(
        default=None,
        ge=1,
        description="the most that the new version's p95 may be of the old one's: 1.3 is a third longer",
    )
    min_requests: PositiveInt = Field(
        default=100, description="of the new version in each step; fewer decide nothing, and the rollout ends"
    )

    @property
    def has_a_limit(self) -> bool:
        """Tell whether a version can fail."""
        return any(limit is not None for limit in (self.max_error_rate, self.p95_ms, self.max_slowdown))
