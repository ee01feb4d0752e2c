"""The committed models are what their scripts make: same configuration, same answers, same score."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from examples.training import bidaf, digits, export, wine
from examples.training.bidaf_graph import LONGEST_ANSWER, Weights
from examples.training.questions import read_questions, split
from serving.probing.golden_check import compare_outputs

REPOSITORY = export.REPOSITORY
MODELS = {"digits": digits.main, "wine": wine.main, "bidaf-9": bidaf.main}


@dataclass(frozen=True)
class Made:
    """What a training script wrote and printed."""

    model: str
    folder: Path
    printed: str


@pytest.fixture(scope="module", params=MODELS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A model made anew."""
    folder = tmp_path_factory.mktemp("training")
    printed: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "REPOSITORY", folder)
        patch.setattr(export, "EXAMPLE_DATA", folder)
        patch.setattr("builtins.print", printed.append)
        train: Callable[[], None] = MODELS[request.param]
        train()
    return Made(request.param, folder / request.param, printed[-1])


def run(model: Path, golden: dict[str, Any]) -> list[dict[str, Any]]:
    """ONNX Runtime's answer to a golden request, in the form of Triton's."""
    session = onnxruntime.InferenceSession(model.read_bytes())
    datatypes = {"FP32": np.float32, "INT64": np.int64, "BYTES": np.object_}
    feeds = {
        tensor["name"]: np.array(tensor["data"], dtype=datatypes[tensor["datatype"]]).reshape(tensor["shape"])
        for tensor in golden["request"]["inputs"]
    }
    wanted = golden["response"]["outputs"]
    values = session.run([tensor["name"] for tensor in wanted], feeds)
    return [
        {**tensor, "shape": list(v.shape), "data": v.ravel().tolist()} for tensor, v in zip(wanted, values, strict=True)
    ]


def differences(golden: dict[str, Any], outputs: list[dict[str, Any]]) -> list[str]:
    return list(compare_outputs(golden["response"]["outputs"], outputs, **golden["tolerance"]))


def test_training_anew_gives_a_model_that_passes_the_committed_golden_inference(made: Made) -> None:
    golden = json.loads((REPOSITORY / made.model / "golden.json").read_text())
    golden["tolerance"] = {"relative": 1e-2, "absolute": 1e-3}  # other releases of scikit-learn end a little elsewhere
    assert differences(golden, run(made.folder / "1" / "model.onnx", golden)) == []


def test_training_anew_writes_the_committed_files(made: Made) -> None:
    committed = {
        file.relative_to(REPOSITORY / made.model) for file in (REPOSITORY / made.model).rglob("*") if file.is_file()
    }
    assert {file.relative_to(made.folder) for file in made.folder.rglob("*") if file.is_file()} == committed
    for file in committed - {Path("1/model.onnx"), Path("golden.json")}:
        assert (made.folder / file).read_text() == (REPOSITORY / made.model / file).read_text()


def test_the_score_is_the_one_that_the_documents_state(made: Made) -> None:
    score = re.search(r"(?:accuracy|exact match) [0-9.]+[0-9]", made.printed)
    assert score is not None
    column = (REPOSITORY.parent / "README.md").read_text()
    assert score[0] in column
    assert score[0] in onnx.load(REPOSITORY / made.model / "1" / "model.onnx").doc_string


@pytest.mark.parametrize("model", MODELS)
def test_a_committed_model_passes_its_golden_inference(model: str) -> None:
    golden = json.loads((REPOSITORY / model / "golden.json").read_text())
    assert differences(golden, run(REPOSITORY / model / "1" / "model.onnx", golden)) == []


def test_questions_without_a_word_are_refused() -> None:
    golden = json.loads((REPOSITORY / "bidaf-9" / "golden.json").read_text())
    for tensor in golden["request"]["inputs"]:
        tensor |= {"shape": [0, *tensor["shape"][1:]], "data": []}
    with pytest.raises(Exception, match=r"Gather node.*out of data bounds"):
        run(REPOSITORY / "bidaf-9" / "1" / "model.onnx", golden)


@pytest.mark.parametrize("model", MODELS)
def test_other_weights_fail_the_golden_inference(model: str, tmp_path: Path) -> None:
    golden = json.loads((REPOSITORY / model / "golden.json").read_text())
    proto = onnx.load(REPOSITORY / model / "1" / "model.onnx")
    for constant in proto.graph.initializer:
        values = onnx.numpy_helper.to_array(constant)
        if values.dtype == np.float32 and values.size > 10:
            constant.CopyFrom(onnx.numpy_helper.from_array(np.flip(values, axis=0).copy(), constant.name))
    onnx.save(proto, tmp_path / "model.onnx")
    assert differences(golden, run(tmp_path / "model.onnx", golden))


@pytest.mark.parametrize("model", MODELS)
def test_a_model_is_of_versions_that_every_triton_here_reads(model: str) -> None:
    proto = onnx.load(REPOSITORY / model / "1" / "model.onnx")
    assert proto.ir_version <= 10
    assert max(opset.version for opset in proto.opset_import) <= 21


def test_held_out_questions_are_about_texts_that_training_does_not_see() -> None:
    training, held_out = split(read_questions())
    assert len(training) == 200
    assert len(held_out) == 50
    assert not {question.passage for question in training} & {question.passage for question in held_out}


def test_an_answer_that_its_text_does_not_have_once_is_an_error(tmp_path: Path) -> None:
    corpus = tmp_path / "questions.txt"
    corpus.write_text("The cat saw the other cat.\n- What saw the other cat? | cat\n")
    with pytest.raises(ValueError, match="the answer once in 'The cat saw"):
        read_questions(corpus)


def test_the_exported_graph_scores_spans_as_training_does() -> None:
    """The graph's best span is that of the scores which the weights were fitted to."""
    _, held_out = split(read_questions())
    examples = bidaf.read_examples(held_out)
    rng = np.random.default_rng(0)
    shapes = {part: getattr(examples[0], part).shape[1] for part in bidaf.PARTS[:3]} | {"length": LONGEST_ANSWER}
    asked = examples[0].query.shape[1]
    weights = Weights(**{part: rng.normal(size=(rows, asked)) for part, rows in shapes.items()})
    model = export.make_model(bidaf.add_model(weights), "random weights")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for question, example in zip(held_out, examples, strict=True):
        _, inputs = bidaf.inputs_of(question)
        start, end = (int(value[0]) for value in session.run(["start_pos", "end_pos"], inputs))
        scores = bidaf.span_scores(example, weights)
        assert scores[start, end] == pytest.approx(scores.max(), abs=1e-3)
