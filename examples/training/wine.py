"""Train the model `wine`: which of three grapes is a wine made from, by 13 measurements of its chemistry?

Data: scikit-learn's copy of the UCI set "Wine" (178 real wines of Piedmont), 75 % for training, 25 % held out. The set
numbers its cultivars. Their names, in that order, come from the set's study (Forina and others, PARVUS).
Model: multinomial logistic regression on standardized measurements.

    python -m examples.training.wine
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from examples.training import export
from examples.training.graph_builder import Graph
from examples.training.held_out import Split

MODEL = "wine"
LABELS = ("Barolo", "Grignolino", "Barbera")
GOLDEN_WINES = 3
INPUTS = [export.float_tensor("measurements", ["batch", 13])]
OUTPUTS = [export.float_tensor("cultivar", ["batch", 3])]

CONFIG = """\
# Which grape a wine was made from; with labels, so that clients may ask for the likeliest classes by name.
platform: "onnxruntime_onnx"
max_batch_size: 64
input [ { name: "measurements" data_type: TYPE_FP32 dims: [ 13 ] } ]
output [ { name: "cultivar" data_type: TYPE_FP32 dims: [ 3 ] label_filename: "cultivars.txt" } ]
dynamic_batching { max_queue_delay_microseconds: 200 }
instance_group [ { kind: KIND_CPU count: 1 } ]
"""


def load_split() -> Split:
    """Load measurements `[n, 13]`, and the cultivars' numbers `[n]`."""
    data = load_wine()
    return Split.of(data.data, data.target)


def train(split: Split) -> Pipeline:
    """Fit the classifier."""
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(split.training, split.training_classes)


def save(classifier: Pipeline, accuracy: float) -> None:
    """Write the ONNX graph, `measurements` [batch, 13] to the probabilities `cultivar` [batch, 3], and its labels."""
    scaler, regression = (step for _, step in classifier.steps)
    graph = Graph()
    standardized = graph.op("Div", graph.op("Sub", "measurements", scaler.mean_), scaler.scale_)
    logits = graph.op("Add", graph.op("MatMul", standardized, regression.coef_.T), regression.intercept_)
    graph.output("cultivar", graph.op("Softmax", logits, axis=1))
    description = f"The grape of a wine; held-out accuracy {accuracy:.4f}."
    export.save_model(MODEL, graph.build(MODEL, INPUTS, OUTPUTS), description)
    export.save_text(MODEL, "config.pbtxt", CONFIG)
    export.save_text(MODEL, "cultivars.txt", "".join(f"{label}\n" for label in LABELS))


def save_samples(classifier: Pipeline, split: Split) -> None:
    """Write the golden inference, with scikit-learn's own predictions, and the held-out wines for the examples."""
    wines = split.held_out[:GOLDEN_WINES]
    probabilities = classifier.predict_proba(wines).astype(np.float32)
    export.save_golden(MODEL, {"measurements": wines.astype(np.float32)}, {"cultivar": probabilities})
    export.save_rows(
        "wine_held_out.json",
        "Wines of the UCI set that training did not see: 13 measurements, and the cultivar they were made from.",
        [
            {"cultivar": LABELS[cultivar], "measurements": wine.tolist()}
            for cultivar, wine in zip(split.held_out_classes, split.held_out, strict=True)
        ],
    )


def main() -> None:
    """Train the model, and write its files and samples."""
    split = load_split()
    classifier = train(split)
    accuracy = float(classifier.score(split.held_out, split.held_out_classes))
    save(classifier, accuracy)
    save_samples(classifier, split)
    print(f"{MODEL}: accuracy {accuracy:.4f} on {len(split.held_out)} held-out wines")


if __name__ == "__main__":
    main()
