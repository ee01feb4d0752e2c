"""Replay: each request goes to both generations, and the answers must be alike."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from serving.proving.client import Answer, Client
from serving.proving.comparison import Differing, at, differences, is_close, is_number, shown
from serving.proving.json_path import JsonPath
from serving.proving.plan import Replay, Request
from serving.proving.verdict import Difference, Figure, Verdict

_AT_ONCE = 4
_TOLD_SECONDS = 5.0
_TOLD = 3
# Triton's answers name the version, which is another one in another generation.
_OF_TRITON = (JsonPath(("model_version",)), JsonPath(("id",)))


@dataclass(frozen=True)
class _Compared:
    request: Request
    found: Sequence[Differing] = ()
    unstable: bool = False
    failed: bool = False


def replay(
    wanted: Replay,
    requests: Sequence[Request],
    clients: tuple[Client, Client],
    verdict: Verdict,
    *,
    seconds: float,
    say: Callable[[str], None],
) -> None:
    """Replay requests, and add what is found to the verdict.

    A request is left out that neither generation answers, or that the old generation answers otherwise the next time.

    Args:
        wanted: The limits.
        requests: What is sent.
        clients: The clients of the old and of the new generation.
        verdict: Gets figures, differences and notes.
        seconds: After these it is over; a request under way does not count.
        say: Is told the progress.
    """
    deadline = time.monotonic() + seconds

    def sent(client: Client, request: Request) -> Answer | None:
        left = deadline - time.monotonic()
        answer = client.send(request, left) if left > 0 else None
        return answer if time.monotonic() < deadline else None

    def differing(request: Request, old: Answer, new: Answer) -> Sequence[Differing]:
        of_triton = request.to == "triton"
        ignore = (*wanted.ignored, *(_OF_TRITON if of_triton else ()))
        return differences(old, new, wanted.tolerance, ignore, of_triton=of_triton)

    def compared(request: Request) -> _Compared | None:
        old, new = (sent(client, request) for client in clients)
        if old is None or new is None:
            return None
        if old.failed and new.failed:
            return _Compared(request, failed=True)
        if request.to == "triton" and old.status >= 400 and new.status >= 400:  # the recorder sees no answers
            return _Compared(request, failed=True)
        found = differing(request, old, new)
        if found and not new.failed:
            again = sent(clients[0], request)
            if again is None:
                return None
            if unstable := differing(request, old, again):
                return _Compared(request, unstable, unstable=True)
        return _Compared(request, found)

    results: list[_Compared] = []
    told = time.monotonic()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for result in pool.map(compared, requests):
            results += [result] if result is not None else []
            if time.monotonic() - told > _TOLD_SECONDS:
                told = time.monotonic()
                say(f"replay: {len(results)} of {len(requests)} requests are compared")
    unstable = [result for result in results if result.unstable]
    failed = [result for result in results if result.failed]
    judged = [result for result in results if not (result.unstable or result.failed)]
    different = [result for result in judged if result.found]
    if len(results) < len(requests):
        verdict.notes.append(f"{len(results)} of {len(requests)} requests were replayed: the time was over")
    if unstable:
        verdict.notes.append(
            f"{len(unstable)} requests are left out: the version that serves answers them otherwise each time; name "
            f"what changes in rollout.replay.ignore, as {unstable[0].found[0].path} of {unstable[0].request.id}"
        )
    if failed:
        verdict.notes.append(f"{len(failed)} requests are left out: both versions fail to answer them")
    share = len(different) / len(judged) if judged else None
    passed = share is not None and share <= wanted.max_mismatch
    verdict.figures.append(
        Figure(
            step="replay",
            name="answers that differ",
            unit="share",
            new=share,
            limit=wanted.max_mismatch,
            passed=passed,
        )
    )
    largest = sorted(((_largest(result), result) for result in different), key=lambda found: -found[0].size)
    verdict.differences += [_told(result, found, wanted.tolerance) for found, result in largest[:_TOLD]]


def _largest(result: _Compared) -> Differing:
    return max(result.found, key=lambda found: found.size)


def _told(result: _Compared, found: Differing, tolerance: float) -> Difference:
    """Write a difference; a recorded request's values only where the collection's redaction left them."""
    old, new = shown(found.old), shown(found.new)
    recorded = result.request.recorded
    if found.of_payload and recorded is not None and not _is_left(recorded, found, tolerance):
        old, new = "(not in the record)", _kind(found.new)
    return Difference(result.request.id, found.path, old, new)


def _is_left(recorded: bytes, found: Differing, tolerance: float) -> bool:
    try:
        left = at(json.loads(recorded), found.place)
    except (ValueError, RecursionError):
        return False
    if isinstance(left, dict | list):
        return type(left) is type(found.old) and not isinstance(found.new, str)
    return is_close(left, found.old, tolerance)


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "a text"
    return "a number" if is_number(value) else "another value"
