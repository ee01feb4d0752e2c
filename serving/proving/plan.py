"""The prover's plan and its verdict, as JSON: what a target asks, and what it is told."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, Literal, TypeVar

from serving.proving.json_path import JsonPath

_T = TypeVar("_T")


class PlanError(ValueError):
    """A plan that cannot be used; the text says why, on one line."""


@dataclass(frozen=True)
class Servers:
    """The addresses of a generation, as in `http://127.0.0.1:5001`."""

    scorer: str | None = None
    triton: str | None = None

    def of(self, server: str) -> str:
        """Give the address of `scorer` or `triton`."""
        address = self.scorer if server == "scorer" else self.triton
        if address is None:
            raise PlanError(f"a request goes to '{server}', and a generation has no address of that name")
        return address


@dataclass(frozen=True)
class Request:
    """A request to send to both generations."""

    id: str
    to: str
    method: str
    path: str
    content_type: str
    body: bytes
    recorded: bytes | None = None
    """The answer as the collection recorded it, after its redaction; None for a golden request."""


@dataclass(frozen=True)
class Replay:
    """How many requests are replayed, and how far answers may differ."""

    requests: int
    max_mismatch: float
    tolerance: float
    ignore: tuple[JsonPath, ...] = ()


@dataclass(frozen=True)
class Performance:
    """A load: requests at once, seconds on each generation, and the limits; None: no limit."""

    concurrency: int
    seconds: float
    p95_ms: float | None = None
    min_throughput: float | None = None
    max_slowdown: float | None = None


@dataclass(frozen=True)
class Collected:
    """Where a service's recorded requests are."""

    url: str
    service: str


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

    @classmethod
    def parse(cls, text: str) -> Plan:
        """Read a plan.

        Raises:
            PlanError: It is no JSON, or a key of it is unknown or missing.
        """
        try:
            given = json.loads(text)
        except ValueError as error:
            raise PlanError(f"the plan is no JSON: {error}") from None
        values = _values(cls, given, "plan")
        values["old"] = _part(Servers, given["old"], "old")
        values["new"] = Servers(**_values(Servers, given["new"], "new"))
        values["requests"] = tuple(map(_request, given["requests"]))
        values["collected"] = _part(Collected, given["collected"], "collected")
        values["performance"] = _part(Performance, given["performance"], "performance")
        if given["replay"] is not None:
            replay = _values(Replay, given["replay"], "replay")
            try:
                replay["ignore"] = tuple(map(JsonPath.parse, replay.get("ignore", ())))
            except ValueError as error:
                raise PlanError(f"replay.ignore: {error}") from None
            values["replay"] = Replay(**replay)
        return cls(**values)


@dataclass(frozen=True)
class Figure:
    """A figure of both generations, and the limit for the new one's."""

    step: Literal["replay", "performance"]
    name: str
    unit: Literal["share", "ms", "requests/s", "ratio"]
    old: float | None
    new: float | None
    limit: float | None
    passed: bool


@dataclass(frozen=True)
class Difference:
    """A value that differs; `old` and `new` are short texts."""

    request: str
    path: str
    old: str
    new: str


@dataclass
class Verdict:
    """What was found."""

    requests: int = 0
    source: Literal["collected", "golden"] = "golden"
    figures: list[Figure] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        """Write the verdict on one line."""
        return json.dumps(asdict(self))


def _request(given: Any) -> Request:
    values = _values(Request, given, "request")
    return Request(**{**values, "body": base64.b64decode(values["body"])})


def _part(kind: type[_T], given: Any, where: str) -> _T | None:
    return None if given is None else kind(**_values(kind, given, where))


def _values(kind: Any, given: Any, where: str) -> dict[str, Any]:
    """Give a part's values by the fields' names; refuse unknown and missing keys."""
    if not isinstance(given, Mapping):
        raise PlanError(f"{where} is {type(given).__name__}; expected an object")
    names = {_camel(part.name): part for part in fields(kind)}
    if unknown := sorted(set(given) - set(names)):
        raise PlanError(f"{where} has the unknown key {', '.join(unknown)}; expected {', '.join(names)}")
    missing = [key for key, part in names.items() if key not in given and _is_required(part)]
    if missing:
        raise PlanError(f"{where} lacks {', '.join(missing)}")
    return {names[key].name: value for key, value in given.items()}


def _is_required(part: Any) -> bool:
    return part.default is MISSING and part.default_factory is MISSING


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
