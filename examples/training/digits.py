"""Train the model `digits`: which of the digits 0 to 9 does a scan of 8 x 8 pixels show?

Data: scikit-learn's copy of the UCI set "Optical Recognition of Handwritten Digits" (1,797 real scans, 43 writers),
75 % for training, 25 % held out. Model: a kernel classifier, Nyström's approximation of a Gaussian kernel under a
multinomial logistic regression, trained on each scan and its shifts by one pixel.

    python -m examples.training.digits
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper
from sklearn.datasets import load_digits
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from examples.training import export
from examples.training.graph_builder import Array, Graph
from examples.training.held_out import Split

MODEL = "digits"
SIDE = 8
PIXELS = SIDE * SIDE
WHITE = 16.0  # the largest value of a pixel
GAMMA = 0.3
LANDMARKS = 600
SHIFTS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
GOLDEN_SCANS = 3  # less than Triton's default batch size of 4
INPUTS = [export.float_tensor("image", ["batch", SIDE, SIDE])]
OUTPUTS = [
    helper.make_tensor_value_info("label", TensorProto.INT64, ["batch", 1]),
    export.float_tensor("probabilities", ["batch", 10]),
]


def load_split() -> Split:
    """Load scans `[n, 8, 8]` with pixels from 0 to 16, and their digits `[n]`."""
    data = load_digits()
    return Split.of(data.images, data.target)


def pixels(scans: Array) -> Array:
    """Turn scans into the classifier's input: `[n, 64]`, from 0 to 1."""
    return scans.reshape(-1, PIXELS) / WHITE


def train(split: Split) -> Pipeline:
    """Fit the classifier on the training scans and their shifted copies."""
    scans = np.concatenate([_shift(split.training, right, down) for right, down in SHIFTS])
    classifier = Pipeline(
        [
            ("kernel", Nystroem(gamma=GAMMA, n_components=LANDMARKS, random_state=0)),
            ("regression", LogisticRegression(C=100, max_iter=2000)),
        ]
    )
    return classifier.fit(pixels(scans), np.tile(split.training_classes, len(SHIFTS)))


def _shift(scans: Array, right: int, down: int) -> Array:
    padded = np.pad(scans, ((0, 0), (1, 1), (1, 1)))
    return padded[:, 1 - down : 1 - down + SIDE, 1 - right : 1 - right + SIDE]


def save(classifier: Pipeline, accuracy: float) -> None:
    """Write the ONNX graph: `image` [batch, 8, 8] to `label` [batch, 1] and `probabilities` [batch, 10].

    The Gaussian kernel of a scan x and a landmark m is exp(-gamma (|x|² - 2 x·m + |m|²)). Nyström's normalization and
    the regression are both linear, so they become one matrix.
    """
    kernel, regression = classifier["kernel"], classifier["regression"]
    landmarks = kernel.components_
    graph = Graph()
    flat = graph.op("Reshape", "image", np.array([-1, PIXELS]))
    values = graph.op("Mul", flat, 1 / WHITE)
    cross = graph.op("MatMul", values, 2 * GAMMA * landmarks.T)
    square = graph.op("Mul", graph.op("ReduceSumSquare", values, axes=[1], keepdims=1), -GAMMA)
    similarity = graph.op("Exp", graph.op("Sum", cross, square, -GAMMA * (landmarks**2).sum(axis=1)))
    weighted = graph.op("MatMul", similarity, (regression.coef_ @ kernel.normalization_).T)
    logits = graph.op("Add", weighted, regression.intercept_)
    graph.output("label", graph.op("ArgMax", logits, axis=1, keepdims=1))
    graph.output("probabilities", graph.op("Softmax", logits, axis=1))
    description = f"Handwritten digits of 8 x 8 pixels; held-out accuracy {accuracy:.4f}."
    export.save_model(MODEL, graph.build(MODEL, INPUTS, OUTPUTS), description)


def save_samples(classifier: Pipeline, split: Split) -> None:
    """Write the golden inference, with scikit-learn's own predictions, and the held-out scans for the examples."""
    scans = split.held_out[:GOLDEN_SCANS]
    probabilities = classifier.predict_proba(pixels(scans))
    export.save_golden(
        MODEL,
        {"image": scans.astype(np.float32)},
        {
            "label": classifier.predict(pixels(scans)).reshape(-1, 1).astype(np.int64),
            "probabilities": probabilities.astype(np.float32),
        },
    )
    export.save_rows(
        "digits_held_out.json",
        "Scans of the UCI digits set that training did not see: 8 rows of 8 pixels, 0 to 16, and the digit they show.",
        [
            {"digit": int(digit), "image": scan.astype(int).tolist()}
            for digit, scan in zip(split.held_out_classes, split.held_out, strict=True)
        ],
    )


def main() -> None:
    """Train the model, and write its files and samples."""
    split = load_split()
    classifier = train(split)
    accuracy = float(classifier.score(pixels(split.held_out), split.held_out_classes))
    save(classifier, accuracy)
    save_samples(classifier, split)
    print(f"{MODEL}: accuracy {accuracy:.4f} on {len(split.held_out_classes)} held-out scans")


if __name__ == "__main__":
    main()
