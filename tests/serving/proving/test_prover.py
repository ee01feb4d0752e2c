"""The prover with real servers: who is slower, fails more often or answers otherwise does not pass."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from serving.proving import __main__ as proving
from serving.proving.client import Client
from serving.proving.load import answered
from serving.proving.plan import Collected, Performance, Plan, Request, Servers
from serving.proving.recorded import Records
from tests.serving.proving.trial import (
    LOAD,
    REPLAY,
    Answering,
    colder,
    dropping,
    failing,
    golden,
    good,
    perturbed,
    proved,
    prover,
    refused,
    server,
    slow,
)


def test_a_planted_delay_is_found() -> None:
    verdict = proved(good, slow, performance={**LOAD, "maxSlowdown": 1.2})
    assert refused(verdict) == ["slowdown of p95"]
    assert [figure["name"] for figure in verdict["figures"]] == [
        "p95",
        "throughput",
        "requests that fail",
        "slowdown of p95",
    ]


@pytest.mark.parametrize("answering", [good, colder])
def test_a_good_version_passes_also_a_colder_one(answering: Answering) -> None:
    limits = {"p95Ms": 1000, "minThroughput": 1, "maxSlowdown": 10}
    assert refused(proved(good, answering, replay=REPLAY, performance={**LOAD, **limits})) == []


@pytest.mark.parametrize("answering", [failing, dropping])
def test_requests_that_fail_are_found(answering: Answering) -> None:
    verdict = proved(good, answering, performance={**LOAD, "p95Ms": 5000})
    assert refused(verdict) == ["requests that fail"]
    (failures,) = (figure for figure in verdict["figures"] if figure["name"] == "requests that fail")
    assert failures["old"] == 0
    assert 0.03 < failures["new"] < 0.07


def test_a_first_generation_is_judged_alone() -> None:
    verdict = proved(None, slow, performance={**LOAD, "p95Ms": 10, "minThroughput": 1000})
    assert refused(verdict) == ["p95", "throughput"]


def test_other_answers_are_found_and_the_largest_differences_told() -> None:
    verdict = proved(good, perturbed, replay=REPLAY, requests=golden(0, 1, 2, 3, 4))
    assert refused(verdict) == ["answers that differ"]
    assert verdict["figures"][0]["new"] == 0.8
    assert (verdict["requests"], verdict["source"]) == (5, "golden")
    assert len(verdict["differences"]) == 3
    assert {"request": "r2", "path": "$.y", "old": "4.0", "new": "4.2"} in verdict["differences"]


def test_what_is_ignored_may_differ() -> None:
    assert refused(proved(good, perturbed, replay={**REPLAY, "ignore": ["$.y"]})) == []


def test_answers_that_the_old_version_changes_itself_are_left_out() -> None:
    def random(value: Any, number: int) -> tuple[int, Any]:
        return 200, {"y": str(time.perf_counter_ns())}

    verdict = proved(random, random, replay=REPLAY)
    assert refused(verdict) == ["answers that differ"]  # nothing could be compared
    assert verdict["figures"][0]["new"] is None
    assert "name what changes in rollout.replay.ignore" in verdict["notes"][0]


def test_requests_that_both_versions_fail_to_answer_are_left_out() -> None:
    def failing_by_input(value: Any, number: int) -> tuple[int, Any]:
        return (500 if number % 2 else 503, {}) if value["x"] < 2 else good(value, number)

    def perturbed_by_input(value: Any, number: int) -> tuple[int, Any]:
        return failing_by_input(value, number) if value["x"] < 2 else perturbed(value, number)

    verdict = proved(failing_by_input, perturbed_by_input, replay=REPLAY, requests=golden(0, 1, 2, 3))
    assert verdict["figures"][0]["new"] == 1
    assert verdict["notes"] == ["2 requests are left out: both versions fail to answer them"]
    assert refused(proved(failing_by_input, failing_by_input, replay=REPLAY, requests=golden(0, 1, 2))) == []


def to_triton(*values: int) -> list[Request]:
    bodies = [json.dumps({"x": x}).encode() for x in values]
    return [Request(f"t{body.decode()}", "triton", "/v2/models/m/infer", body, recorded=b"") for body in bodies]


@pytest.mark.parametrize(("serves", "left"), [(True, [3]), (False, [2, 3])])
def test_the_load_sends_no_recorded_request_that_is_refused(
    serves: bool, left: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(value: Any, number: int) -> tuple[int, Any]:
        return {0: 400, 1: 404, 2: 500}.get(value["x"], 200), {}

    monkeypatch.setattr(proving, "newest", lambda *_: Records(to_triton(0, 1, 2, 3)))
    loaded: list[Sequence[Request]] = []
    monkeypatch.setattr(proving, "performance", lambda _, requests, *__, **___: loaded.append(requests))
    with server(refusing) as address:
        servers = Servers(triton=address)
        plan = Plan(
            old=servers if serves else None,
            new=servers,
            requests=(),
            collected=Collected("file:///nowhere", "web", ("triton",)),
            replay=None,
            performance=Performance(concurrency=1, seconds=1),
            front_door_metrics=None,
            timeout_seconds=30,
        )
        verdict = proving.prove(plan)
        assert loaded == [to_triton(*left)]
        who = "the version that serves fails to answer them" if serves else "the version refuses them"
        assert verdict.notes == [f"{4 - len(left)} requests are left out of the load: {who}"]
        monkeypatch.setattr(proving, "newest", lambda *_: Records(to_triton(0, 1)))
        verdict = proving.prove(plan)
    assert len(loaded) == 1
    assert verdict.notes[1:] == ["performance had nothing to send: no recorded request is left, and none is golden"]


def test_to_find_refused_requests_takes_no_longer_than_it_may() -> None:
    released = threading.Event()

    def hanging(value: Any, number: int) -> tuple[int, Any]:
        released.wait(60)
        return 400, {}

    with server(hanging) as address:
        client, requests = Client(Servers(triton=address), 60), to_triton(*range(40))
        began = time.monotonic()
        assert answered(client, requests, seconds=0.5, serves=True) == requests
        assert time.monotonic() - began < 3
        released.set()


def test_an_answer_that_is_json_in_a_text_is_compared_within_the_tolerance() -> None:
    def dumped(times: float) -> Answering:
        return lambda value, number: (200, json.dumps({"y": value["x"] * times}))

    assert refused(proved(dumped(2.0), dumped(2.0001), replay=REPLAY)) == []
    verdict = proved(dumped(2.0), dumped(2.1), replay=REPLAY)
    assert {"request": "r2", "path": "$.json().y", "old": "6.0", "new": "6.300000000000001"} in verdict["differences"]


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ("{", "the plan is no JSON"),
        ("[]", "plan is list; expected an object"),
        ('{"surprise": 1}', "plan has the unknown key surprise"),
        ("{}", "plan lacks old, new, requests"),
    ],
)
def test_a_plan_that_cannot_be_used_is_told_on_one_line(plan: str, words: str) -> None:
    ended = prover(plan)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("old", [None, good])
def test_a_version_that_hangs_is_refused_in_the_provers_time(old: Answering | None) -> None:
    released = threading.Event()

    def hanging(value: Any, number: int) -> tuple[int, Any]:
        released.wait(60)
        return good(value, number)

    try:
        started = time.monotonic()
        verdict = proved(old, hanging, performance={**LOAD, "p95Ms": 1, "maxSlowdown": 9}, timeoutSeconds=4)
    finally:
        released.set()
    assert time.monotonic() - started < 12
    assert refused(verdict)[:2] == ["p95", "requests that fail"]
    assert "count as failed" in verdict["notes"][0]
    (failures,) = (figure for figure in verdict["figures"] if figure["name"] == "requests that fail")
    assert failures["new"] == 1


def test_a_request_to_a_server_that_a_version_does_not_have_is_told() -> None:
    plan = {
        "old": {"triton": "http://127.0.0.1:1"},
        "new": {"scorer": "http://127.0.0.1:1"},
        "requests": golden(1),
        "collected": None,
        "replay": REPLAY,
        "performance": {**LOAD, "p95Ms": 1},
        "frontDoorMetrics": None,
        "timeoutSeconds": 9,
    }
    ended = prover(json.dumps(plan))
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert "a request goes to 'scorer', and a generation has no address" in ended.stderr


def test_a_prover_without_a_verdict_ends_in_its_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # Envoy's metrics, say
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        plan = {
            "old": None,
            "new": {"scorer": address},
            "requests": golden(1),
            "collected": None,
            "replay": None,
            "performance": {**LOAD, "p95Ms": 1},
            "frontDoorMetrics": address,
            "timeoutSeconds": 1,
        }
        ended = prover(json.dumps(plan))
    assert (ended.returncode, ended.stderr.splitlines()) == (3, ["no verdict within 1 s"])


def test_a_version_that_hangs_in_replay_is_refused_in_the_provers_time() -> None:
    released = threading.Event()

    def hanging(value: Any, number: int) -> tuple[int, Any]:
        released.wait(60)
        return good(value, number)

    try:
        verdict = proved(good, hanging, replay=REPLAY, requests=golden(*range(40)), timeoutSeconds=4)
    finally:
        released.set()
    assert refused(verdict) == ["answers that differ"]
    assert verdict["differences"][0]["path"] == "status"
    assert "the time was over" in verdict["notes"][0]


def test_an_answer_without_an_end_does_not_keep_the_prover() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def trickle() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.recv(9999)
                connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                while True:
                    connection.send(b"1\r\nx\r\n")
                    time.sleep(0.05)

        thread = threading.Thread(target=trickle)
        thread.start()
        client = Client(Servers(scorer=f"http://127.0.0.1:{listening.getsockname()[1]}"), 0.5)
        answer = client.send(Request(id="a", to="scorer", path="/score", body=b"{}"))
        thread.join(10)
    assert (answer.status, answer.late, answer.failed) == (0, True, True)
    assert 0.4 < answer.seconds < 2
