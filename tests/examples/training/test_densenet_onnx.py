"""The committed `densenet_onnx` is what its script makes, and has the interface of Azure's document."""

import importlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from bundle.golden_derivation import derive
from bundle.layout import check_layout
from examples.training import densenet_onnx, export
from serving.azure import module_names

PHOTOGRAPHS = export.PHOTOGRAPHS


def scores(model: Path, images: list[Image.Image]) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.read_bytes())
    feeds = [densenet_onnx.preprocess(image)[None] for image in images]
    return np.stack([session.run(["fc6_1"], {"data_0": feed})[0].ravel() for feed in feeds])


def test_training_anew_gives_the_committed_model_and_score(tmp_path: Path) -> None:
    classifier, held_out, numbers = densenet_onnx.train()
    accuracy = float(classifier.score(densenet_onnx.read_features(held_out), numbers))
    model = densenet_onnx.save(tmp_path, classifier, accuracy)
    committed = densenet_onnx.FOLDER / "1" / "model.onnx"
    assert (tmp_path / "config.pbtxt").read_text() == (densenet_onnx.FOLDER / "config.pbtxt").read_text()
    some = held_out[:: densenet_onnx.HELD_OUT_CROPS // 2]
    # Other releases of scikit-learn end a little elsewhere, and other ones of Pillow round a little differently.
    np.testing.assert_allclose(scores(model, some), scores(committed, some), atol=0.05)
    stated = f"accuracy {accuracy:.4f}"
    assert stated in onnx.load(committed).doc_string
    assert stated in (export.PROJECT / "examples" / "README.md").read_text()
    assert "Not DenseNet" in onnx.load(committed).doc_string


def test_the_bundle_is_as_the_document_declares_it() -> None:
    bundle = check_layout(densenet_onnx.FOLDER.parents[1], target="process")
    assert bundle.notes == ()
    (model,) = bundle.models
    (given,), (made,) = model.inputs, model.outputs
    assert (given.name, given.shape, given.reshape) == ("data_0", (3, 224, 224), (1, 3, 224, 224))
    assert (made.name, made.shape, made.reshape) == ("fc6_1", (1000,), (1, 1000, 1, 1))
    assert made.labels == densenet_onnx.LABELS
    golden = derive(densenet_onnx.FOLDER / "1" / "model.onnx", model)
    assert golden.request["inputs"][0]["shape"] == [3, 224, 224]
    assert golden.response["outputs"][0]["shape"] == [1000]
    assert sum(file.stat().st_size for file in densenet_onnx.FOLDER.rglob("*") if file.is_file()) < 200_000


def test_a_model_that_every_triton_here_reads() -> None:
    proto = onnx.load(densenet_onnx.FOLDER / "1" / "model.onnx")
    assert proto.ir_version <= 10
    assert max(opset.version for opset in proto.opset_import) <= 21


@pytest.mark.parametrize("label", densenet_onnx.PHOTOGRAPHS)
def test_a_held_out_crop_is_of_its_class(label: str) -> None:
    file = PHOTOGRAPHS / f"{label.lower().replace(' ', '_')}.jpg"
    (found,) = scores(densenet_onnx.FOLDER / "1" / "model.onnx", [Image.open(file)])
    assert densenet_onnx.labels()[int(found.argmax())] == label


def test_the_script_prepares_images_as_training_does() -> None:
    module_names.install()
    score_densenet = importlib.import_module("examples.scripts.score_densenet")
    image = Image.open(PHOTOGRAPHS / "tripod.jpg")
    np.testing.assert_array_equal(score_densenet.preprocess(image), densenet_onnx.preprocess(image))
