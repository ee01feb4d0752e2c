"""What the probe prints for readers of text tells which problems are final, and reads as before without the marks."""

from serving.probing.golden_check import Problem
from serving.probing.marking import marked, unmarked

LATE, WRONG = Problem("model a: not yet"), Problem("model b: wrong", final=True)


def test_a_final_problem_stands_first_because_an_event_may_lose_its_end() -> None:
    assert [unmarked(line) for line in marked([LATE, WRONG])] == [WRONG, LATE]


def test_an_event_is_final_where_one_of_its_problems_is() -> None:
    event = "Startup probe failed: " + " ".join(marked([LATE, WRONG]))
    assert unmarked(event) == Problem("Startup probe failed: model b: wrong model a: not yet", final=True)
    assert not unmarked("Startup probe failed: " + " ".join(marked([LATE]))).final


def test_no_sentence_of_the_probe_is_final_by_its_words() -> None:
    assert not unmarked("Startup probe failed: model a: received state UNAVAILABLE: unloaded").final
