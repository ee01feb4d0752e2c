"""Train the model `densenet_onnx`: from which of six photographs is a crop, by ImageNet's classes?

It is not DenseNet. It has the interface of the ONNX model zoo's DenseNet-121, which Azure's document on Triton deploys:
`data_0` [1, 3, 224, 224] to `fc6_1` [1, 1000, 1, 1]. It has none of DenseNet's weights.

Data: six of the photographs in scikit-image's wheel, which their photographers gave to the public domain. Training sees
80 random crops of each photograph, some of them mirrored, lighter or darker; 40 other crops are held out. Crops of both
sets overlap, so the score tells nothing about other photographs.
Model: multinomial logistic regression on the colours and the contours in a grid of 8 x 8 fields.

    python -m examples.training.densenet_onnx
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import skimage.data
from onnx import TensorProto, helper
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from examples.training import export
from examples.training.graph_builder import Array, Graph

MODEL = "densenet_onnx"
FOLDER = export.PROJECT / "examples" / "densenet" / "triton" / MODEL
LABELS = "densenet_labels.txt"
SIDE = 224
CLASSES = 1000
FIELDS = 8
TRAINING_CROPS, HELD_OUT_CROPS = 80, 40
UNTRAINED = -10.0  # the score of classes that training did not see; the best of the others is above 0
INPUTS = [export.float_tensor("data_0", [1, 3, SIDE, SIDE])]
OUTPUTS = [export.float_tensor("fc6_1", [1, CLASSES, 1, 1])]

CONFIG = """\
name: "densenet_onnx"
platform: "onnxruntime_onnx"
max_batch_size: 0
input [
  {
    name: "data_0"
    data_type: TYPE_FP32
    format: FORMAT_NCHW
    dims: [ 3, 224, 224 ]
    reshape { shape: [ 1, 3, 224, 224 ] }
  }
]
output [
  {
    name: "fc6_1"
    data_type: TYPE_FP32
    dims: [ 1000 ]
    reshape { shape: [ 1, 1000, 1, 1 ] }
    label_filename: "densenet_labels.txt"
  }
]
"""


PHOTOGRAPHS: dict[str, Callable[[], Array]] = {
    "TABBY": skimage.data.chelsea,
    "ANALOG CLOCK": skimage.data.clock,
    "MISSILE": skimage.data.rocket,
    "STONE WALL": skimage.data.brick,
    "TRIPOD": skimage.data.camera,
    "ESPRESSO": skimage.data.coffee,
}
"""The photographs, by the nearest class of ImageNet's."""


def labels() -> list[str]:
    """Read ImageNet's classes, in the order of their numbers."""
    return (FOLDER / LABELS).read_text(encoding="utf-8").splitlines()


def crops(photograph: Array, count: int, random: np.random.Generator) -> list[Image.Image]:
    """Make random crops: squares of 60 to 100 % of the photograph's shorter side, some mirrored, lighter or darker."""
    image = Image.fromarray(photograph).convert("RGB")
    made = []
    for _ in range(count):
        side = int(min(image.size) * random.uniform(0.6, 1.0))
        left, top = (int(random.integers(0, room - side + 1)) for room in image.size)
        crop = image.crop((left, top, left + side, top + side))
        if random.random() < 0.5:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        light = random.uniform(0.8, 1.2)
        made.append(crop.point([min(255, int(value * light)) for value in range(256)] * 3))
    return made


def preprocess(image: Image.Image) -> Array:
    """Turn a crop into the model's input, [3, 224, 224] from -1 to 1, as `score_densenet.py` does."""
    resized = np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32)
    return np.transpose(resized / 128 - 1, (2, 0, 1))


def add_features(graph: Graph) -> str:
    """Add the features of `data_0`, [1, 320]: the colours of 8 x 8 fields, and the strength of contours in each."""
    field = SIDE // FIELDS
    pooled = {"kernel_shape": [field, field], "strides": [field, field]}
    colours = graph.op("Flatten", graph.op("AveragePool", "data_0", **pooled))
    across = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 12  # Sobel's operator, over the mean of three colours
    sobel = np.stack([np.stack([slope] * 3) for slope in (across, across.T)]).astype(np.float32)
    contours = graph.op("Abs", graph.op("Conv", "data_0", sobel, pads=[1, 1, 1, 1]))
    return graph.op("Concat", colours, graph.op("Flatten", graph.op("AveragePool", contours, **pooled)), axis=1)


def read_features(images: list[Image.Image]) -> Array:
    """Compute the features of crops, with the graph that is exported."""
    graph = Graph()
    graph.output("features", add_features(graph))
    outputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, None)]
    model = export.make_model(graph.build(MODEL, INPUTS, outputs), "features")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return np.concatenate([session.run(None, {"data_0": preprocess(image)[None]})[0] for image in images])


def train() -> tuple[Pipeline, list[Image.Image], Array]:
    """Train the classifier.

    Returns:
        The classifier, the held-out crops, and for each crop the number of its photograph.
    """
    random = np.random.default_rng(0)
    training = [crop for read in PHOTOGRAPHS.values() for crop in crops(read(), TRAINING_CROPS, random)]
    held_out = [crop for read in PHOTOGRAPHS.values() for crop in crops(read(), HELD_OUT_CROPS, random)]
    numbers = np.arange(len(PHOTOGRAPHS))
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    classifier.fit(read_features(training), numbers.repeat(TRAINING_CROPS))
    return classifier, held_out, numbers.repeat(HELD_OUT_CROPS)


def make_graph(classifier: Pipeline) -> onnx.GraphProto:
    """Make the graph from `data_0` to `fc6_1`: features, regression, and the scores at the places of their classes."""
    scaler, regression = classifier[0], classifier[-1]
    weights = regression.coef_ / scaler.scale_
    bias = regression.intercept_ - weights @ scaler.mean_
    places = [labels().index(label) for label in PHOTOGRAPHS]
    spread = np.zeros((len(PHOTOGRAPHS), CLASSES))
    spread[range(len(PHOTOGRAPHS)), places] = 1
    base = np.full(CLASSES, UNTRAINED)
    base[places] = 0
    graph = Graph()
    # The scores have a mean of 0, so the best score is above 0.
    scores = graph.op("Add", graph.op("MatMul", add_features(graph), (weights - weights.mean(0)).T), bias - bias.mean())
    spread_out = graph.op("Add", graph.op("MatMul", scores, spread), base)
    graph.output("fc6_1", graph.op("Reshape", spread_out, np.array([1, CLASSES, 1, 1])))
    return graph.build(MODEL, INPUTS, OUTPUTS)


def save(folder: Path, classifier: Pipeline, accuracy: float) -> Path:
    """Write the model's folder without the labels, and return the ONNX file."""
    description = (
        "Not DenseNet, whose interface it has: tells six of scikit-image's photographs apart, by ImageNet's classes; "
        f"accuracy {accuracy:.4f} on held-out crops of the same photographs."
    )
    proto = export.make_model(make_graph(classifier), description)
    onnx.checker.check_model(proto, full_check=True)
    (folder / "1").mkdir(parents=True, exist_ok=True)
    (folder / "config.pbtxt").write_text(CONFIG, encoding="utf-8")
    (folder / "1" / "model.onnx").write_bytes(proto.SerializeToString(deterministic=True))
    return folder / "1" / "model.onnx"


def save_photographs(folder: Path, held_out: list[Image.Image]) -> None:
    """Write a held-out crop of each photograph, for clients to send."""
    folder.mkdir(parents=True, exist_ok=True)
    for label, crop in zip(PHOTOGRAPHS, held_out[::HELD_OUT_CROPS], strict=True):
        crop.thumbnail((256, 256))
        crop.save(folder / f"{label.lower().replace(' ', '_')}.jpg", quality=85)


def main() -> None:
    """Train the model, and write its files and the photographs."""
    classifier, held_out, numbers = train()
    accuracy = float(classifier.score(read_features(held_out), numbers))
    save(FOLDER, classifier, accuracy)
    save_photographs(export.PHOTOGRAPHS, held_out)
    print(f"{MODEL}: accuracy {accuracy:.4f} on {len(held_out)} held-out crops")


if __name__ == "__main__":
    main()
