"""The prover's plan: a target writes it, and the prover reads it (`serving.proving.wire`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from serving.proving.json_path import JsonPath

Server = Literal["scorer", "triton"]


class PlanError(ValueError):
    """A plan that cannot be used; the text says why, on one line."""


@dataclass(frozen=True)
class Servers:
    """The addresses of a generation, as in `http://127.0.0.1:5001`."""

    scorer: str | None = None
    triton: str | None = None

    def of(self, server: Server) -> str:
        """Give the address of `scorer` or `triton`."""
        address = self.scorer if server == "scorer" else self.triton
        if address is None:
            raise PlanError(f"a request goes to '{server}', and a generation has no address of that name")
        return address


@dataclass(frozen=True)
class Request:
    """A request to send to both generations."""

    id: str
    to: Server
    path: str
    body: bytes
    method: str = "POST"
    content_type: str = "application/json"
    head_bytes: int | None = None
    """So many bytes of the body are JSON, and binary tensors follow; None where there are none."""

    recorded: bytes | None = None
    """The answer as the collection recorded it, after its redaction, empty where it records none; None for a golden
    request."""


@dataclass(frozen=True)
class Collected:
    """Where a service's recorded requests are, and to which of its servers those are that are wanted."""

    url: str
    service: str
    servers: tuple[Server, ...] = ("scorer",)


@dataclass(frozen=True)
class Replay:
    """How many requests are replayed, and how far answers may differ."""

    requests: int
    max_mismatch: float
    tolerance: float
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no path before anything is sent."""
        try:
            _ = self.ignored
        except ValueError as error:
            raise PlanError(f"replay.ignore: {error}") from None

    @property
    def ignored(self) -> tuple[JsonPath, ...]:
        """The paths of what is not compared."""
        return tuple(map(JsonPath.parse, self.ignore))


@dataclass(frozen=True)
class Performance:
    """A load: requests at once, seconds on each generation, and the limits; None: no limit."""

    concurrency: int
    seconds: float
    p95_ms: float | None = None
    min_throughput: float | None = None
    max_slowdown: float | None = None


@dataclass(frozen=True)
class Plan:
    """What is to be proved, within `timeout_seconds`."""

    old: Servers | None
    new: Servers
    requests: tuple[Request, ...]
    collected: Collected | None
    replay: Replay | None
    performance: Performance | None
    front_door_metrics: str | None
    timeout_seconds: float
