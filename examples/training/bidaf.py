"""Train the model `bidaf-9`: which words of a text answer a question? It has BiDAF's interface, not BiDAF's weights.

Data: the 250 questions of `data/questions.txt` on 50 short texts, written for this project. The questions of every
fifth text are held out. Model: log-linear over the spans of a text (see `bidaf_graph.py`), fitted by the likelihood of
the right spans. It knows a few word lists and learns from 200 simple questions: it does badly on longer or less plain
texts.

    python -m examples.training.bidaf
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from scipy.optimize import minimize

from examples.scripts import score_bidaf
from examples.training import export
from examples.training.bidaf_graph import (
    IMPOSSIBLE,
    INPUTS,
    LONGEST_ANSWER,
    OUTPUTS,
    Weights,
    add_answer,
    add_features,
)
from examples.training.graph_builder import Array, Graph
from examples.training.questions import Question, read_questions, split

MODEL = "bidaf-9"
RIDGE = 0.3  # pulls all weights towards zero
GOLDEN = Question(
    "The old lighthouse on the cliff is white. Peter Lund was its keeper for 40 years, until 1988.",
    "For how long was Peter Lund the keeper of the lighthouse?",
    "40 years",
)
PARTS = ("inside", "start", "end", "length")

CONFIG = """\
# Question answering with the interface of the ONNX model zoo's BiDAF, but not its weights: see examples/training/.
# A text and a question have a word in each row, so requests cannot share a batch.
platform: "onnxruntime_onnx"
max_batch_size: 0
input [
  { name: "context_word" data_type: TYPE_STRING dims: [ -1, 1 ] },
  { name: "context_char" data_type: TYPE_STRING dims: [ -1, 1, 1, 16 ] },
  { name: "query_word" data_type: TYPE_STRING dims: [ -1, 1 ] },
  { name: "query_char" data_type: TYPE_STRING dims: [ -1, 1, 1, 16 ] }
]
output [
  { name: "start_pos" data_type: TYPE_INT32 dims: [ 1 ] },
  { name: "end_pos" data_type: TYPE_INT32 dims: [ 1 ] }
]
instance_group [ { kind: KIND_CPU count: 1 } ]
"""


@dataclass(frozen=True)
class Example:
    """A question as the model sees it, and the first and last word of its answer."""

    query: Array
    inside: Array
    start: Array
    end: Array
    same: Array
    answer: tuple[int, int]


def inputs_of(question: Question) -> tuple[list[str], dict[str, Array]]:
    """Return the words of a question's text, and the model's inputs."""
    words = score_bidaf.tokenizer.tokenize(question.passage)
    return words, score_bidaf.encode(words, score_bidaf.tokenizer.tokenize(question.query))


def read_examples(questions: Sequence[Question]) -> list[Example]:
    """Compute the model's features of each question, with the graph that is exported."""
    graph = Graph()
    features = add_features(graph)
    names = ("query", "inside", "start", "end", "same")
    for name in names:
        graph.output(name, getattr(features, name))
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
    session = onnxruntime.InferenceSession(
        export.make_model(graph.build(MODEL, INPUTS, outputs), "features").SerializeToString()
    )
    examples = []
    for question in questions:
        words, inputs = inputs_of(question)
        answer = score_bidaf.tokenizer.tokenize(question.answer)
        starts = [at for at in range(len(words)) if words[at : at + len(answer)] == answer]
        if len(starts) != 1:
            raise ValueError(f"'{question.answer}': expected once among the words {words}, found {len(starts)} times")
        values = dict(zip(names, session.run(names, inputs), strict=True))
        examples.append(Example(**values, answer=(starts[0], starts[0] + len(answer) - 1)))
    return examples


def train(examples: Sequence[Example]) -> Weights:
    """Fit the weights that make the right spans the likeliest."""
    first = examples[0]
    asked = first.query.shape[1]
    shapes = [(getattr(first, part).shape[1], asked) for part in PARTS[:3]] + [(LONGEST_ANSWER, asked)]
    ends = np.cumsum([rows * columns for rows, columns in shapes])

    def unpack(flat: Array) -> Weights:
        parts = np.split(flat, ends[:-1])
        return Weights(*(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)))

    def loss(flat: Array) -> tuple[float, Array]:
        weights = unpack(flat)
        value, slope = RIDGE / 2 * float(flat @ flat), RIDGE * flat
        for example in examples:
            scores = span_scores(example, weights)
            likely = np.exp(scores - scores.max())
            likely /= likely.sum()
            value -= float(np.log(likely[example.answer] + 1e-30))
            slope = slope + _slope(example, likely)
        return value, slope

    found = minimize(loss, np.zeros(ends[-1]), jac=True, method="L-BFGS-B", options={"maxiter": 150})
    return unpack(found.x)


def span_scores(example: Example, weights: Weights) -> Array:
    """Score the span from each word to each word: [c, c]."""
    inside, start, end = (
        (getattr(example, part) @ getattr(weights, part) @ example.query.T)[:, 0] for part in PARTS[:3]
    )
    total = np.cumsum(inside)
    words = np.subtract.outer(np.arange(len(total)), np.arange(len(total))).T
    within = np.clip(words, 0, LONGEST_ANSWER - 1)
    scores = (start + inside - total)[:, None] + (end + total)[None, :] + (weights.length @ example.query[0])[within]
    return np.where((words == within) & (example.same > 0), scores, IMPOSSIBLE)


def _slope(example: Example, likely: Array) -> Array:
    """Compute the gradient of the negative log-likelihood: the expected features less the answer's features."""
    surprise = likely.copy()
    surprise[example.answer] -= 1
    starts, ends = surprise.sum(axis=1), surprise.sum(axis=0)
    inside = np.cumsum(starts) - np.concatenate([[0.0], np.cumsum(ends)[:-1]])
    lengths = np.array([np.trace(surprise, offset) for offset in range(LONGEST_ANSWER)])
    parts = (inside @ example.inside, starts @ example.start, ends @ example.end, lengths)
    return np.concatenate([np.outer(part, example.query[0]).ravel() for part in parts])


def add_model(weights: Weights) -> onnx.GraphProto:
    """Make the graph that Triton serves."""
    graph = Graph()
    add_answer(graph, add_features(graph), weights)
    return graph.build(MODEL, INPUTS, OUTPUTS)


def exact_match(graph: onnx.GraphProto, questions: Sequence[Question]) -> float:
    """Compute the share of questions whose answer the model gives word for word."""
    session = onnxruntime.InferenceSession(export.make_model(graph, MODEL).SerializeToString())
    matches = 0
    for question in questions:
        words, inputs = inputs_of(question)
        start, end = (int(value[0]) for value in session.run(["start_pos", "end_pos"], inputs))
        matches += words[start : end + 1] == score_bidaf.tokenizer.tokenize(question.answer)
    return matches / len(questions)


def random_match(examples: Sequence[Example]) -> float:
    """Compute the share that random spans would match, within a sentence and no longer than the longest answer."""
    return float(np.mean([1 / np.tril(np.triu(example.same), LONGEST_ANSWER - 1).sum() for example in examples]))


def save_golden(graph: onnx.GraphProto) -> None:
    """Write the golden inference, as ONNX's reference implementation computes it."""
    names = [output.name for output in OUTPUTS]
    _, inputs = inputs_of(GOLDEN)
    outputs = ReferenceEvaluator(export.make_model(graph, MODEL)).run(names, inputs)
    export.save_golden(MODEL, inputs, {name: np.asarray(value) for name, value in zip(names, outputs, strict=True)})


def main() -> None:
    """Train the model and write its files."""
    training, held_out = split(read_questions())
    graph = add_model(train(read_examples(training)))
    matched, guessed = exact_match(graph, held_out), random_match(read_examples(held_out))
    scores = f"exact match {matched:.2f} on {len(held_out)} held-out questions, {guessed:.4f} for a random span"
    export.save_model(MODEL, graph, f"Question answering with BiDAF's interface, not BiDAF's weights; {scores}.")
    export.save_text(MODEL, "config.pbtxt", CONFIG)
    save_golden(graph)
    print(f"{MODEL}: {scores}")


if __name__ == "__main__":
    main()
