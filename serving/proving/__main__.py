"""Prove a generation: `python -m serving.proving` reads a plan (JSON) and writes a verdict, one line of JSON.

Progress goes to the standard error. The exit status is 0 where it judged, whatever the verdict, 2 where the plan cannot
be used, and 3 where its time was over.
"""

from __future__ import annotations

import os
import sys
import threading
import time

from serving.proving.client import Client
from serving.proving.load import answered
from serving.proving.performance import performance
from serving.proving.plan import Plan, PlanError, Request
from serving.proving.production import Production
from serving.proving.recorded import RecordsError, newest
from serving.proving.replay import replay
from serving.proving.verdict import Verdict
from serving.proving.wire import FormError, read, write

_REQUEST_SECONDS = 60.0
_MARGIN_SECONDS = 5.0
_LOAD_SECONDS = 25.0  # beside four times those of the load: for the last answers
_ASKING_SHARE = 1 / 8  # of these seconds: to find the recorded requests that are refused
_MOST_TO_LOAD = 200


def main() -> int:
    """Read the plan, prove, and write the verdict."""
    try:
        plan = read(Plan, sys.stdin.read())
        _end_after(plan.timeout_seconds)
        verdict = prove(plan)
    except (FormError, PlanError, RecordsError) as error:
        _say(str(error))
        return 2
    print(write(verdict), flush=True)
    return 0


def prove(plan: Plan) -> Verdict:
    """Prove a generation.

    Raises:
        PlanError: The plan sends to a server that a generation does not have.
        RecordsError: The recorded requests cannot be read.
    """
    started, verdict = time.monotonic(), Verdict(requests=0, source="golden")
    production = Production(plan.front_door_metrics) if plan.front_door_metrics else None
    requests = _requests(plan, verdict)
    if not requests:
        return verdict
    for servers in filter(None, (plan.old, plan.new)):
        for request in requests:
            servers.of(request.to)
    end = started + plan.timeout_seconds - min(_MARGIN_SECONDS, plan.timeout_seconds / 10)
    wanted = plan.performance
    for_load = _LOAD_SECONDS + 4 * wanted.seconds if wanted else 0.0
    if plan.replay is not None and plan.old is not None:
        seconds = end - for_load - time.monotonic()
        timeout = _request_seconds(seconds)
        both = Client(plan.old, timeout), Client(plan.new, timeout)
        replay(plan.replay, requests[: plan.replay.requests], both, verdict, seconds=seconds, say=_say)
    if wanted is not None:
        seconds = min(for_load, end - time.monotonic())
        timeout = _request_seconds(seconds)
        clients = Client(plan.old, timeout) if plan.old else None, Client(plan.new, timeout)
        requests = _to_load(plan, requests[:_MOST_TO_LOAD], clients, verdict, seconds * _ASKING_SHARE)
        seconds = min(for_load, end - time.monotonic())
        if requests:
            performance(wanted, requests, clients, verdict, production, seconds=seconds, say=_say)
    return verdict


def _to_load(
    plan: Plan, requests: list[Request], clients: tuple[Client | None, Client], verdict: Verdict, seconds: float
) -> list[Request]:
    """Choose what the load sends: no recorded request that is refused, whose answer would come very fast."""
    old, new = clients
    left = answered(old or new, requests, seconds=seconds, serves=old is not None)
    if refused := len(requests) - len(left):
        who = "the version that serves fails to answer them" if old else "the version refuses them"
        verdict.notes.append(f"{refused} requests are left out of the load: {who}")
    if not left and plan.requests:
        verdict.notes.append("no recorded request is left for the load: golden requests are sent")
    left = left or list(plan.requests)
    if not left:
        verdict.notes.append("performance had nothing to send: no recorded request is left, and none is golden")
    return left


def _request_seconds(seconds: float) -> float:
    """Bound a request, so that a generation that hangs leaves time for the others."""
    return max(0.1, min(_REQUEST_SECONDS, seconds / 4))


def _requests(plan: Plan, verdict: Verdict) -> list[Request]:
    """Choose what is sent; without any request a version passes, and the verdict says so."""
    requests: list[Request] = []
    if plan.collected is not None:
        records = newest(plan.collected, plan.replay.requests if plan.replay else _MOST_TO_LOAD)
        requests = records.requests
        verdict.notes += records.notes()
        if not requests and plan.requests:
            what = "no recorded request can be sent" if verdict.notes else "no request is recorded yet"
            verdict.notes.append(f"{what}: golden requests are sent")
    verdict.source = "collected" if requests else "golden"
    requests = requests or list(plan.requests)
    verdict.requests = len(requests)
    if not requests:
        gates = {"replay": plan.replay and plan.old, "performance": plan.performance}
        for gate in [gate for gate, wanted in gates.items() if wanted]:
            verdict.notes.append(
                f"{gate} had nothing to send: no request is recorded that can be sent again, and none is golden; the "
                "version passes by its probe alone"
            )
    return requests


def _end_after(seconds: float) -> None:
    """End this process when its time is over: nobody would read its verdict."""

    def end() -> None:
        _say(f"no verdict within {seconds:g} s")
        os._exit(3)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    ended = main()
    sys.stdout.flush()
    os._exit(ended)  # a thread of pyarrow's may abort the process while the interpreter ends
