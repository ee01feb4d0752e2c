"""The ONNX graph of the model `bidaf-9`: the features of a text's words, and the span that answers.

The features of a word are its class, its shape, its ending, and whether the question contains it. The features of its
place are how much of the question its sentence repeats, and how near it is to a repeated word. The score of a span is
linear in these features, with weights that depend on what the question asks for.
"""

from __future__ import annotations

import string
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper

from examples.training.bidaf_words import QUERY_CLASSES, STOPWORDS, TOKEN_CLASSES, classes
from examples.training.graph_builder import Array, Graph

CHARACTERS = 16  # of a word, in BiDAF's interface
STEM = 4  # words of one stem share so many first letters
LONGEST_ANSWER = 12  # words
FADING = (1.0, 4.0)  # after so many words the nearness to a repeated word has fallen to 37 %
IMPOSSIBLE = -1e9

INPUTS = [
    helper.make_tensor_value_info(f"{text}_{part}", TensorProto.STRING, [size, *shape])
    for text, size in (("context", "c"), ("query", "q"))
    for part, shape in (("word", [1]), ("char", [1, 1, CHARACTERS]))
]
OUTPUTS = [helper.make_tensor_value_info(name, TensorProto.INT32, [1]) for name in ("start_pos", "end_pos")]

LETTERS = {letter: number for number, letter in enumerate(string.ascii_lowercase, 1)}
DIGITS = {digit: number for number, digit in enumerate(string.digits, 30)}
CODES = {"": 0} | LETTERS | {letter.upper(): code for letter, code in LETTERS.items()} | DIGITS
OTHER_CODE = 99
UPPER, DIGIT, MARK, LOWER = 1, 2, 3, 4
KINDS = (
    {"": 0}
    | dict.fromkeys(string.ascii_uppercase, UPPER)
    | dict.fromkeys(string.digits, DIGIT)
    | dict.fromkeys(string.punctuation, MARK)
)
ENDINGS = ("ed", "ing", "ly", "s")


@dataclass(frozen=True)
class Features:
    """The names of the graph's values.

    Attributes:
        query: [1, Q], what the question asks for.
        inside: [c, I], the features of each word of the text.
        start: [c, S], what speaks for an answer that starts at the word.
        end: [c, E], what speaks for an answer that ends at the word.
        same: [c, c], whether two words stand in one sentence.
    """

    query: str
    inside: str
    start: str
    end: str
    same: str


@dataclass(frozen=True)
class Weights:
    """The weight of each feature in a span's score, by what the question asks for; `length` is by number of words."""

    inside: Array
    start: Array
    end: Array
    length: Array


def add_features(graph: Graph) -> Features:
    """Add the features of the inputs to the graph."""
    words, query_words = (_not_empty(graph, f"{text}_word", 1) for text in ("context", "query"))
    characters, query_characters = (_not_empty(graph, f"{text}_char", CHARACTERS) for text in ("context", "query"))
    context = graph.encode_text(characters, CODES, OTHER_CODE)
    repeated = _repeated(graph, context, graph.encode_text(query_characters, CODES, OTHER_CODE), query_words)
    repeats = graph.op("ReduceMax", repeated, axes=[1], keepdims=1)
    stop = _one_of(graph, words, TOKEN_CLASSES["stop"].split())
    sentence = graph.op("CumSum", stop, np.int64(0), exclusive=1)
    same = _floats(
        graph, graph.op("Equal", *(graph.op("Cast", side, to=TensorProto.INT64) for side in _pair(graph, sentence)))
    )
    previous_stop = graph.op(
        "Sub", 1.0, _shifted(graph, graph.op("Sub", 1.0, stop), 1)
    )  # so the first word follows one
    shapes = _shapes(graph, characters, context, previous_stop)
    inside = graph.op("Concat", _one_hot(graph, words, TOKEN_CLASSES), shapes, repeats, axis=1)
    neighbours = graph.op("Concat", inside, _shifted(graph, inside, 1), _shifted(graph, inside, -1), axis=1)
    left, right = _nearness(graph, _positions(graph, stop), repeats, same)
    return Features(
        query=_asked(graph, query_words),
        inside=inside,
        start=graph.op("Concat", neighbours, _coverage(graph, same, repeated), left, axis=1),
        end=graph.op("Concat", neighbours, right, axis=1),
        same=same,
    )


def add_answer(graph: Graph, features: Features, weights: Weights) -> None:
    """Add the outputs to the graph: the first and the last word of the best span within a sentence."""
    asked = graph.op("Transpose", features.query, perm=[1, 0])
    inside, start, end, length = (
        graph.op("MatMul", value, graph.op("MatMul", matrix, asked)) if value else graph.op("MatMul", matrix, asked)
        for value, matrix in (
            (features.inside, weights.inside),
            (features.start, weights.start),
            (features.end, weights.end),
            ("", weights.length),
        )
    )
    total = graph.op("CumSum", inside, np.int64(0))
    first = graph.op("Add", start, graph.op("Sub", inside, total))
    last = graph.op("Transpose", graph.op("Add", end, total), perm=[1, 0])
    rows, columns = _pair(graph, _positions(graph, inside))
    words = graph.op("Cast", graph.op("Sub", columns, rows), to=TensorProto.INT64)
    within = graph.op("Clip", words, np.int64(0), np.int64(LONGEST_ANSWER - 1))
    by_length = graph.op("Gather", graph.op("Reshape", length, np.array([-1])), within)
    possible = graph.op("Mul", features.same, _floats(graph, graph.op("Equal", words, within)))
    impossible = graph.op("Mul", graph.op("Sub", 1.0, possible), IMPOSSIBLE)
    scores = graph.op("Sum", first, last, by_length, impossible)
    best = graph.op("ArgMax", graph.op("Reshape", scores, np.array([-1])), axis=0, keepdims=1)
    size = graph.op("Gather", graph.op("Shape", scores), np.array([0]), axis=0)
    graph.output("start_pos", graph.op("Cast", graph.op("Div", best, size), to=TensorProto.INT32))
    graph.output("end_pos", graph.op("Cast", graph.op("Mod", best, size), to=TensorProto.INT32))


def _not_empty(graph: Graph, value: str, columns: int) -> str:
    """Pass an input on as [n, columns], and refuse an empty one: ONNX Runtime 1.20 would crash on it later."""
    flat = graph.op("Reshape", value, np.array([-1]))  # from longer rows ONNX Runtime gathers only the first text
    size = graph.op("Gather", graph.op("Shape", flat), np.int64(0), axis=0)
    every = graph.op("Range", np.int64(0), graph.op("Max", size, np.int64(1)), np.int64(1))
    # Without the Max, ONNX Runtime would optimise Range and Gather into a Slice, which accepts an empty input.
    there = graph.op("Gather", flat, graph.op("Max", every, np.int64(0)), axis=0)
    return graph.op("Reshape", there, np.array([-1, columns]))


def _floats(graph: Graph, value: str) -> str:
    return graph.op("Cast", value, to=TensorProto.FLOAT)


def _one_of(graph: Graph, words: str, listed: list[str]) -> str:
    """Mark the words of a list with 1: [n, 1]."""
    return _floats(graph, graph.encode_text(words, dict.fromkeys(listed, 1), 0))


def _pair(graph: Graph, column: str) -> tuple[str, str]:
    """Return a column [c, 1] and the row [1, c] of the same values."""
    return column, graph.op("Transpose", column, perm=[1, 0])


def _positions(graph: Graph, column: str) -> str:
    """Count the rows of a column from 0: [c, 1]."""
    return graph.op("CumSum", graph.op("Add", graph.op("Mul", column, 0.0), 1.0), np.int64(0), exclusive=1)


def _shifted(graph: Graph, rows: str, by: int) -> str:
    """Give each word the row of the word before it (`by` 1) or after it (-1), and zeros at the edge: [c, n]."""
    padded = graph.op("Pad", rows, np.array([1, 0, 1, 0]), 0.0)
    return graph.op(
        "Slice", padded, np.array([1 - by]), np.array([-2 if by > 0 else np.iinfo(np.int64).max]), np.array([0])
    )


def _one_hot(graph: Graph, words: str, lists: dict[str, str]) -> str:
    """Mark the class of each word with 1: [n, classes]; words without a class get zeros."""
    numbers = graph.op("Reshape", graph.encode_text(words, classes(lists), 0), np.array([-1]))
    every = graph.op("OneHot", numbers, np.int64(len(lists) + 1), np.array([0.0, 1.0], dtype=np.float32))
    return graph.op("Slice", every, np.array([1]), np.array([len(lists) + 1]), np.array([1]))


def _asked(graph: Graph, words: str) -> str:
    """Mark the classes of words in the question, and add a 1 for all questions: [1, Q]."""
    found = graph.op("ReduceMax", _one_hot(graph, words, QUERY_CLASSES), axes=[0], keepdims=1)
    return graph.op("Concat", found, np.ones((1, 1)), axis=1)


def _shapes(graph: Graph, characters: str, codes: str, starts: str) -> str:
    """Mark names, words that start a sentence, years, other numbers, marks, and the endings of words: [c, 9]."""
    kinds = graph.encode_text(characters, KINDS, LOWER)
    initial = graph.op("Slice", kinds, np.array([0]), np.array([1]), np.array([1]))
    upper, digit, mark = (_floats(graph, graph.op("Equal", initial, np.int64(kind))) for kind in (UPPER, DIGIT, MARK))
    year = _has_shape(graph, kinds, [DIGIT, DIGIT, DIGIT, DIGIT, 0])
    name = graph.op("Mul", upper, graph.op("Sub", 1.0, starts))
    number = graph.op("Sub", digit, year)
    endings = [_has_ending(graph, codes, ending) for ending in ENDINGS]
    return graph.op("Concat", name, graph.op("Mul", upper, starts), year, number, mark, *endings, axis=1)


def _has_shape(graph: Graph, kinds: str, wanted: list[int]) -> str:
    first = graph.op("Slice", kinds, np.array([0]), np.array([len(wanted)]), np.array([1]))
    return graph.op("ReduceMin", _floats(graph, graph.op("Equal", first, np.array(wanted))), axes=[1], keepdims=1)


def _has_ending(graph: Graph, codes: str, ending: str) -> str:
    """Mark words of up to 15 characters that end so: [c, 1]."""
    wanted = [*(LETTERS[letter] for letter in ending), CODES[""]]
    size = CHARACTERS - len(wanted) + 1
    fits = [
        _floats(
            graph,
            graph.op(
                "Equal",
                graph.op("Slice", codes, np.array([at]), np.array([at + size]), np.array([1])),
                np.int64(code),
            ),
        )
        for at, code in enumerate(wanted)
    ]
    return graph.op("ReduceMax", graph.op("Min", *fits), axes=[1], keepdims=1)


def _repeated(graph: Graph, context: str, query: str, query_words: str) -> str:
    """Compare the text's words with the question's words that matter: 1 if equal, 0.5 if only the stems are: [c, q]."""
    equal = _floats(
        graph,
        graph.op("Equal", graph.op("Unsqueeze", context, axes=[1]), graph.op("Unsqueeze", query, axes=[0])),
    )  # [c, q, 16]
    stem = graph.op("Slice", equal, np.array([0]), np.array([STEM]), np.array([2]))
    whole, stems = (graph.op("ReduceMin", value, axes=[2], keepdims=0) for value in (equal, stem))
    matters = graph.op("Sub", 1.0, _one_of(graph, query_words, STOPWORDS))
    return graph.op(
        "Mul", graph.op("Mul", graph.op("Add", whole, stems), 0.5), graph.op("Transpose", matters, perm=[1, 0])
    )


def _coverage(graph: Graph, same: str, repeated: str) -> str:
    """Count the question's words that each word's sentence repeats, and mark the sentence with the most: [c, 2]."""
    repeats = graph.op("Min", graph.op("MatMul", same, repeated), 1.0)
    covered = graph.op("ReduceSum", repeats, axes=[1], keepdims=1)
    most = graph.op("ReduceMax", covered, axes=[0], keepdims=1)
    best = _floats(graph, graph.op("Less", graph.op("Sub", most, covered), 0.25))
    return graph.op("Concat", covered, best, axis=1)


def _nearness(graph: Graph, positions: str, repeats: str, same: str) -> tuple[str, str]:
    """Compute the nearness to repeated words of the same sentence, on a word's left and on its right: [c, 2] each."""
    rows, columns = _pair(graph, positions)
    distance = graph.op("Sub", rows, columns)
    sides: list[list[str]] = [[], []]
    for side, towards in zip(sides, (distance, graph.op("Neg", distance)), strict=True):
        beyond = graph.op("Mul", same, _floats(graph, graph.op("Greater", towards, 0.5)))
        steps = graph.op("Max", towards, 0.0)
        for fading in FADING:
            weight = graph.op("Mul", beyond, graph.op("Exp", graph.op("Mul", steps, -1 / fading)))
            side.append(graph.op("MatMul", weight, repeats))
    return graph.op("Concat", *sides[0], axis=1), graph.op("Concat", *sides[1], axis=1)
