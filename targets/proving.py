"""The gates of a rollout: a generation that passed its probe proves itself beside the old one before it gets traffic.

    a target's rollout ──► prove ──► a plan (JSON) ──► the target's way to run `python -m serving.proving`
                             │
                             └◄── a verdict: progress lines, or `ServiceError` with the table of figures

`serving.proving` sends, compares and measures, where both generations can be reached. What it is asked, and what its
answer means for the rollout, is decided here.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serving.proving.plan import Collected, Performance, Plan, Replay, Request, Server, Servers
from serving.proving.verdict import Verdict
from serving.proving.wire import FormError, read, write
from serving.triton.tensors import LENGTH_HEADER, encode
from settings.service_groups import RolloutPlan
from settings.variable_names import COLLECT
from targets.errors import ServiceError
from targets.verdict_text import findings, line, table

__all__ = ["PROVER", "Outcome", "Proof", "Run", "Servers", "Side"]

PROVER = ("-I", "-m", "serving.proving")
"""The arguments of Python that start the prover."""

_MARGIN_SECONDS = 15  # the prover ends by itself within its time, and is ended when this is over too
_LINES = 10


@dataclass(frozen=True)
class Side:
    """A generation that answers: its number, its addresses, and what its probe asks (`serving.probing.probe`)."""

    number: int
    servers: Servers
    questions: Mapping[str, Any]

    @property
    def models(self) -> set[str]:
        """The names of the models that Triton serves."""
        return {model["name"] for model in (self.questions.get("triton") or {}).get("models", ())}


@dataclass(frozen=True)
class Outcome:
    """How the prover ended: its exit status (none where its time was over), its output, and its last lines."""

    status: int | None
    output: str
    said: Sequence[str] = ()


Run = Callable[[str, float, Callable[[str], None]], Outcome]
"""Runs the prover on a plan (JSON) for so many seconds at most, and tells its progress lines. It leaves nothing."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A generation's way through the gates.

    Attributes:
        rollout: The gates.
        service_name: The service's name.
        variables: The environment's variables, which say where requests are recorded.
        records: Whether the service has a recorder of requests to Triton.
        new: The generation that has no traffic yet.
        old: The generation that has the traffic; None where there is none to compare with.
        front_door_metrics: Where Envoy tells how production fares; None where it does not run.
        run: Runs the prover.
        progress: Is told what happens.
        record: Is told the verdict.
    """

    rollout: RolloutPlan
    service_name: str
    variables: Mapping[str, str]
    new: Side
    old: Side | None
    front_door_metrics: str | None
    run: Run
    progress: Callable[[str], None]
    record: Callable[[Verdict], object] = lambda verdict: None
    records: bool = False

    def judge(self) -> None:
        """Prove the new generation.

        Raises:
            ServiceError: It is refused, or the prover does not come to a verdict.
            Cancelled: Somebody cancelled.
        """
        plan = self.plan()
        if plan is None:
            return
        seconds = plan.timeout_seconds + _MARGIN_SECONDS
        self.progress(f"generation {self.new.number} proves itself, for {plan.timeout_seconds} s at most")
        verdict = self._read(self.run(write(plan), seconds, self.progress))
        self.record(verdict)
        if verdict.refused_by:
            raise ServiceError(self._refusal(verdict))
        for told in (*map(line, verdict.figures), *verdict.notes):
            self.progress(told)

    def plan(self) -> Plan | None:
        """Decide what the prover is asked; None where there is nothing to prove, which the progress says."""
        old, replay, performance = self.old, self.rollout.replay, self.rollout.performance
        if replay is None and performance is None:
            return None
        collected, requests = self._collected(), self._requests()
        if old is not None:
            requests = [request for request in requests if self._known_to(old, request)]
            collected = self._collected(old)
            if not requests and not collected:  # it serves other things
                old, requests, collected = None, self._requests(), self._collected()
        if old is None:
            if replay is not None:
                self.progress("replay is left out: no generation serves to compare with")
            if performance is not None and not performance.has_own_limits:
                self.progress("performance is left out: maxSlowdown alone compares with a generation that serves")
            replay = None
            performance = performance if performance is not None and performance.has_own_limits else None
            if performance is not None and not requests:
                self.progress("performance is left out: there is no golden request to load this first generation with")
                performance = None
        if replay is None and performance is None:
            return None
        return Plan(
            old=old.servers if old else None,
            new=self.new.servers,
            requests=tuple(requests),
            collected=collected,
            replay=Replay(**{**replay.model_dump(), "ignore": tuple(replay.ignore)}) if replay else None,
            performance=Performance(**performance.model_dump()) if performance else None,
            front_door_metrics=self.front_door_metrics,
            timeout_seconds=self.rollout.model_copy(
                update={"replay": replay, "performance": performance}
            ).gates_seconds,
        )

    def _collected(self, old: Side | None = None) -> Collected | None:
        """Say where requests to the servers are recorded that the new generation has, and the old one too."""
        url, sides = self.variables.get(COLLECT, ""), [self.new, *([old] if old else ())]
        recorded: tuple[Server, ...] = ("scorer", "triton") if self.records else ("scorer",)
        servers = tuple(server for server in recorded if all(getattr(side.servers, server) for side in sides))
        if not url or not servers:
            return None
        return Collected(url=url, service=self.variables.get("SERVICE_NAME") or self.service_name, servers=servers)

    def _requests(self) -> list[Request]:
        """Give the golden requests that the new generation's probe asks."""
        found = []
        golden = (self.new.questions.get("scorer") or {}).get("golden")
        if golden and self.new.servers.scorer:
            found.append(_to_script(golden))
        for model in (self.new.questions.get("triton") or {}).get("models", ()):
            if model.get("golden") and self.new.servers.triton:
                found.append(_to_model(model))
        return found

    def _known_to(self, old: Side, request: Request) -> bool:
        if request.to == "scorer":
            return old.servers.scorer is not None
        known = old.servers.triton is not None and request.id in old.models
        if not known:
            self.progress(f"model '{request.id}' is new: generation {old.number} has nothing to compare with")
        return known

    def _read(self, outcome: Outcome) -> Verdict:
        if outcome.status is None:
            what = "gave no verdict in its time"
        elif outcome.status:
            what = f"ended with status {outcome.status}"
        else:
            try:
                return read(Verdict, outcome.output)
            except FormError:
                what = "gave no verdict that this version of the project reads"
        said = "".join(f"\n  {line}" for line in outcome.said[-_LINES:])
        raise ServiceError(
            f"the prover of generation {self.new.number} {what}; {self._who_serves}. Try again, or leave "
            f"deployment.rollout.{' and '.join(self._gates)} out{':' if said else ''}{said}"
        )

    @property
    def _gates(self) -> list[str]:
        return [name for name in ("replay", "performance") if getattr(self.rollout, name) is not None]

    @property
    def _who_serves(self) -> str:
        if self.old is not None:
            return f"generation {self.old.number} serves on"
        return "what served before gets its place back" if self.rollout.strategy == "recreate" else "it gets no traffic"

    def _refusal(self, verdict: Verdict) -> str:
        gates = verdict.refused_by
        limits = " and ".join(f"deployment.rollout.{gate}" for gate in gates)
        head = f"{' and '.join(gates)} refused generation {self.new.number}; {self._who_serves}"
        return "\n".join([head, table(verdict.figures), *findings(verdict), f"the limits are those of {limits}"])


def _to_script(golden: Mapping[str, Any]) -> Request:
    if "body" in golden:
        body = base64.b64decode(golden["body"])
        return Request(id="script", to="scorer", path="/score", body=body, content_type=golden["contentType"])
    return Request(id="script", to="scorer", path="/score", body=json.dumps(golden["request"]).encode())


def _to_model(model: Mapping[str, Any]) -> Request:
    """Ask the newest version of a model, whose number may differ between generations."""
    headers, body = encode(model["golden"], model.get("outputs") or ())
    head = headers.get(LENGTH_HEADER)
    return Request(
        id=model["name"],
        to="triton",
        path=f"/v2/models/{model['name']}/infer",
        body=body,
        content_type=headers["Content-Type"],
        head_bytes=int(head) if head else None,
    )
