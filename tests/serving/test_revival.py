"""Models whose processes died come back, also where Triton is too busy to answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from serving.keeping import revival
from serving.probing import probe
from serving.probing.golden_check import Unreachable

INDEX = json.dumps([{"name": "slow", "version": "1", "state": "READY"}]).encode()


def test_what_a_busy_triton_did_not_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    answers: Iterator[Any] = iter(
        [Unreachable("busy"), (200, INDEX), Unreachable("busy"), Unreachable("busy"), (503, b"{}"), (200, b"")]
    )

    def request(url: str, **_: Any) -> tuple[int, bytes]:
        asked.append(url.rpartition("/")[2])
        answer = next(answers)
        if isinstance(answer, Unreachable):
            raise answer
        status, body = answer
        return status, body

    monkeypatch.setattr(probe, "request", request)
    monkeypatch.setattr(revival.time, "sleep", lambda _: None)
    reviver = revival.Revival("http://triton")
    reviver._revive(revival._Instance("/models/slow/1/model.py", "slow_0_0"))
    assert asked == ["index", "index", "unload", "load", "load", "load"]
    assert reviver._reviving == set()
