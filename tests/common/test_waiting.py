"""Waiting ends with a true answer, with the time, or when somebody cancels."""

import threading
import time
from collections.abc import Iterator

import pytest

from common import waiting
from common.waiting import Cancelled, cancel, shielded, wait_until


@pytest.fixture(autouse=True)
def not_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_cancelled", threading.Event())


def answers(*given: object) -> Iterator[object]:
    yield from given


def test_the_first_true_answer_ends_the_wait() -> None:
    given = answers(0, "", "here", "not asked for")
    assert wait_until(lambda: next(given), seconds=10, every=0) == "here"
    assert next(given) == "not asked for"


def test_the_last_answer_is_given_when_the_time_is_over() -> None:
    started = time.monotonic()
    assert wait_until(lambda: [], seconds=0.1, every=60) == []
    assert time.monotonic() - started < 5


def test_a_condition_is_asked_once_where_there_is_no_time() -> None:
    assert wait_until(lambda: "here", seconds=0) == "here"


def test_what_a_condition_raises_ends_the_wait() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 / 0, seconds=10)


def test_a_wait_that_is_under_way_ends_at_once_when_somebody_cancels() -> None:
    asked = threading.Event()
    canceller = threading.Thread(target=lambda: asked.wait(10) and cancel())
    canceller.start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        wait_until(lambda: asked.set(), seconds=60, every=60)
    canceller.join()
    assert time.monotonic() - started < 10


def test_no_wait_begins_after_that() -> None:
    cancel()
    with pytest.raises(Cancelled):
        wait_until(lambda: pytest.fail("nobody is asked"), seconds=10)


def test_what_puts_things_in_order_still_waits() -> None:
    cancel()
    given = answers(0, 0, "in order")
    with shielded():
        assert wait_until(lambda: next(given), seconds=10, every=0.01) == "in order"
    with pytest.raises(Cancelled):
        wait_until(lambda: True, seconds=10)


def test_a_shield_holds_for_its_own_thread_alone() -> None:
    found: list[object] = []

    def elsewhere() -> None:
        try:
            wait_until(lambda: True, seconds=1)
        except Cancelled as error:
            found.append(error)

    cancel()
    with shielded():
        other = threading.Thread(target=elsewhere)
        other.start()
        other.join()
    assert len(found) == 1
