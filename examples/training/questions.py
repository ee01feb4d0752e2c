"""Read `examples/training/data/questions.txt`: short passages and questions about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).with_name("data") / "questions.txt"
HELD_OUT_EVERY = 5


@dataclass(frozen=True)
class Question:
    """A question about a passage, and the words of the passage that answer it."""

    passage: str
    query: str
    answer: str


def read_questions(path: Path = CORPUS) -> list[list[Question]]:
    """Read the questions of each passage, in the file's order.

    Raises:
        ValueError: A line is no question, or a passage does not contain an answer exactly once.
    """
    return [list(_parse(block)) for block in path.read_text(encoding="utf-8").split("\n\n") if block[0] != "#"]


def split(passages: list[list[Question]]) -> tuple[list[Question], list[Question]]:
    """Split the questions for training and held out; the questions of every fifth passage are held out."""
    held_out = [question for passage in passages[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY] for question in passage]
    training = [
        question for number, passage in enumerate(passages, 1) if number % HELD_OUT_EVERY for question in passage
    ]
    return training, held_out


def _parse(block: str) -> Iterator[Question]:
    passage, *lines = block.strip().splitlines()
    for line in lines:
        query, separator, answer = line.removeprefix("- ").partition(" | ")
        if not separator or passage.count(answer) != 1:
            raise ValueError(f"'{line}': expected '- question | answer', the answer once in '{passage}'")
        yield Question(passage, query, answer)
