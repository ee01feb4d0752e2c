"""Bundles for tests, good and bad: each case makes one model in `triton/<case>` and knows what the check says of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests import onnx_models

INPUT = 'input [ { name: "x" data_type: TYPE_FP32 dims: [ 2 ] } ]'
OUTPUT = 'output [ { name: "y" data_type: TYPE_FP32 dims: [ 2 ] } ]'
LABELLED = OUTPUT.replace("[ 2 ]", '[ 2 ] label_filename: "names.txt"')
BATCHED = f"max_batch_size: 8 {INPUT} {OUTPUT}"
CPU = "instance_group [ { kind: KIND_CPU count: 1 } ]"


@dataclass(frozen=True)
class Case:
    """A model: `build` makes its folder, `problems` are the lines of the check, with `{m}` for `triton/<case>`."""

    name: str
    build: Callable[[Path], None]
    problems: tuple[str, ...]
    triton_refuses: bool = True
    """Whether Triton itself does not serve the model; False where it would serve another than what was meant."""
    target: str = "process"
    """Where the model is to be served."""


def model(folder: Path, config: str | None = None, *, file: str = "1/model.onnx") -> None:
    """A model that doubles [batch, 2], in a file of some name, with a configuration or none."""
    onnx_models.save_scaling(folder / "1", 2)
    target = folder / file
    target.parent.mkdir(parents=True, exist_ok=True)
    (folder / "1" / "model.onnx").rename(target)
    if not any((folder / "1").iterdir()):
        (folder / "1").rmdir()
    if config is not None:
        configure(folder, config)


def configure(folder: Path, config: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.pbtxt").write_text(config)


def python_file(folder: Path) -> None:
    """A `model.py` that Triton would take."""
    (folder / "model.py").write_text("class TritonPythonModel:\n    def execute(self, requests): ...\n")


def configured(config: str) -> Callable[[Path], None]:
    return lambda folder: model(folder, config)


def placed(file: str, config: str | None = None) -> Callable[[Path], None]:
    return lambda folder: model(folder, config, file=file)


def unbatchable(config: str) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        onnx_models.save_scaling(folder / "1", 2, dims=(1, 2))
        configure(folder, config)

    return build


def cut(size: int) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        model(folder)
        file = folder / "1" / "model.onnx"
        file.write_bytes(file.read_bytes()[:size])

    return build


def without_model_file(folder: Path) -> None:
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "notes.txt").write_text("no model here")


def tensorflow(folder: Path) -> None:
    (folder / "1" / "model.savedmodel").mkdir(parents=True)
    (folder / "1" / "model.savedmodel" / "saved_model.pb").write_bytes(b"")


def sequence_output(folder: Path) -> None:
    onnx_models.save_sequence(folder / "1")


def ensemble(steps: str, settings: str = f"max_batch_size: 4 {INPUT} {OUTPUT}") -> Callable[[Path], None]:
    config = f"""platform: "ensemble" {settings} ensemble_scheduling {{ step [ {steps} ] }}"""

    def build(folder: Path) -> None:
        configure(folder, config)
        (folder / "1").mkdir()
        (folder / "1" / ".keep").touch()

    return build


STEP = """{{ model_name: "{model}" model_version: -1
    input_map {{ key: "{key}" value: "x" }} output_map {{ key: "y" value: "y" }} }}"""

LAYOUT = (
    Case(
        "no_version",
        lambda folder: configure(folder, BATCHED),
        ("{m}: has no version; expected a folder named by a number from 1, such as {m}/1, with the model file",),
    ),
    Case(
        "file_without_version",
        placed("model.onnx"),
        ("{m}: has no version; expected a folder named by a number from 1; move model.onnx into {m}/1/",),
    ),
    Case(
        "version_zero",
        placed("0/model.onnx"),
        ("{m}/0: version 0 is reserved: Triton's versions start at 1; rename it, such as to 1",),
        triton_refuses=False,  # the release of the wheel serves it, against Triton's documents
    ),
    Case(
        "leading_zero",
        placed("01/model.onnx"),
        ("{m}/01: Triton ignores a version with leading zeros; rename it to 1",),
    ),
    Case(
        "version_with_letters",
        placed("v1/model.onnx"),
        ("{m}/v1: 'v1' is no version; expected a folder named by a number from 1; rename it, such as to 1",),
    ),
    Case(
        "no_model_file",
        without_model_file,
        ("{m}/1: has no model file; expected one of model.savedmodel, model.graphdef, model.plan, model.onnx",),
    ),
    Case(
        "misnamed_file",
        placed("1/net.onnx"),
        (
            "{m}/1: has no model file of a name that Triton recognises; expected one of .*; found net.onnx; "
            "rename 'net.onnx' to 'model.onnx' if it is ONNX's",
        ),
    ),
    Case(
        "misnamed_for_its_platform",
        placed("1/model.pt", 'platform: "onnxruntime_onnx"'),
        ("{m}/1: has no model file; expected 'model.onnx', the file of a ONNX model; found model.pt",),
    ),
    Case(
        "misnamed_for_its_setting",
        placed("1/model.onnx", 'backend: "onnxruntime" default_model_filename: "net.onnx"'),
        ("{m}/1: has no model file; expected 'net.onnx', as default_model_filename says; found model.onnx",),
    ),
    Case(
        "config_no_protobuf",
        configured('max_batch_size 8\ninput [ { name: "x" '),
        ("{m}/config.pbtxt:1:16: does not parse: Expected",),
    ),
    Case(
        "config_unknown_field",
        configured("max_batchsize: 8"),
        ("{m}/config.pbtxt:1:1: does not parse: .* no field named \"max_batchsize\"; did you mean 'max_batch_size'?",),
    ),
    Case(
        "config_unknown_type",
        configured('input [ { name: "x" data_type: TYPE_FLOAT dims: [ 2 ] } ]'),
        (
            "{m}/config.pbtxt:1:.*: does not parse: .* has no value named TYPE_FLOAT; "
            "expected one of TYPE_INVALID, TYPE_BOOL, .*TYPE_FP32",
        ),
    ),
    Case(
        "another_name",
        configured(f'name: "resnet" {BATCHED}'),
        ("{m}/config.pbtxt: name is 'resnet', expected 'another_name', the name of its folder",),
    ),
    Case(
        "no_batch_dimension",
        unbatchable("max_batch_size: 8"),
        (
            r"{m}/config.pbtxt: max_batch_size is 8, but 'x' of {m}/1/model.onnx has the shape \[ 1, 2 \] with no "
            "batch dimension; expected a first dimension that varies, in all inputs and outputs; set max_batch_size: 0",
        ),
    ),
    Case(
        "no_batch_dimension_configured",
        unbatchable(BATCHED),
        (
            r"{m}/config.pbtxt: max_batch_size is 8, but input 'x' of {m}/1/model.onnx has the shape \[ 1, 2 \]",
            r"{m}/config.pbtxt: max_batch_size is 8, but output 'y' of {m}/1/model.onnx has the shape \[ 1, 2 \]",
        ),
    ),
    Case(
        "input_name",
        configured(BATCHED.replace('"x"', '"xs"')),
        (
            "{m}/config.pbtxt: input 'xs' is not in {m}/1/model.onnx; expected inputs of x; did you mean 'x'?",
            "{m}/config.pbtxt: input 'x' of {m}/1/model.onnx is missing; expected all of x; add it",
        ),
    ),
    Case(
        "input_type",
        configured(BATCHED.replace("TYPE_FP32", "TYPE_INT32", 1)),
        ("{m}/config.pbtxt: input 'x' has data_type TYPE_INT32, expected TYPE_FP32 as in {m}/1/model.onnx; change it",),
    ),
    Case(
        "input_shape",
        configured(BATCHED.replace("[ 2 ]", "[ 3 ]", 1)),
        (
            r"{m}/config.pbtxt: input 'x' has dims \[ 3 \], expected \[ 2 \] as in {m}/1/model.onnx, after the batch "
            "dimension that max_batch_size 8 adds; change them",
        ),
    ),
    Case(
        "output_name",
        configured(BATCHED.replace('"y"', '"z"')),
        ("{m}/config.pbtxt: output 'z' is not in {m}/1/model.onnx; expected outputs of y",),
    ),
    Case(
        "output_type",
        configured(f"max_batch_size: 8 {INPUT} {OUTPUT.replace('FP32', 'FP64')}"),
        ("{m}/config.pbtxt: output 'y' has data_type TYPE_FP64, expected TYPE_FP32 as in {m}/1/model.onnx; change it",),
    ),
    Case(
        "output_shape",
        configured(f"max_batch_size: 8 {INPUT} {OUTPUT.replace('[ 2 ]', '[ 2, 2 ]')}"),
        (r"{m}/config.pbtxt: output 'y' has dims \[ 2, 2 \], expected \[ 2 \] as in {m}/1/model.onnx",),
    ),
    Case("truncated", cut(40), (r"{m}/1/model.onnx: is truncated or no ONNX model \(40 bytes\)",)),
    Case("empty", cut(0), ("{m}/1/model.onnx: is empty; expected an ONNX model; export or copy it again",)),
    Case(
        "labels_missing",
        configured(f"max_batch_size: 8 {INPUT} {LABELLED}"),
        (
            "{m}/config.pbtxt: output 'y' names the labels file 'names.txt', which is missing; "
            "expected it at {m}/names.txt; add it or correct the name",
        ),
    ),
    Case(
        "no_output_that_is_a_tensor",
        sequence_output,
        ("{m}/1/model.onnx: output 'y' is a sequence; expected a tensor, all that Triton serves",),
    ),
    Case(
        "unknown_platform",
        configured(f'platform: "onnx" {BATCHED}'),
        ("{m}/config.pbtxt: platform 'onnx' is unknown; expected one of tensorflow_savedmodel",),
    ),
    Case(
        "no_version_loaded",
        configured(f"version_policy: {{ specific: {{ versions: [ 7 ] }} }} {BATCHED}"),
        (r"{m}/config.pbtxt: version_policy names 7, which Triton would leave out in silence; expected",),
    ),
    Case(
        "preferred_batch_too_large",
        configured(f"{BATCHED} dynamic_batching {{ preferred_batch_size: [ 16 ] }}"),
        ("{m}/config.pbtxt: preferred_batch_size of dynamic_batching is 16, expected 1 to max_batch_size, which is 8",),
    ),
    Case(
        "ensemble_of_nothing",
        ensemble(STEP.format(model="nowhere", key="x")),
        (r"{m}/config.pbtxt: step 1 \('nowhere'\) names a model that is not in the bundle; expected one of",),
    ),
    Case(
        "ensemble_of_other_names",
        ensemble(STEP.format(model="good", key="image")),
        (
            r"{m}/config.pbtxt: step 1 \('good'\) maps the input 'image', which the model does not have; expected x",
            r"{m}/config.pbtxt: step 1 \('good'\) does not map the input 'x' of its model; add it to input_map",
        ),
    ),
    Case(
        "ensemble_of_larger_batches",
        ensemble(STEP.format(model="good", key="x"), BATCHED),
        (r"{m}/config.pbtxt: max_batch_size is 8, but step 1 \('good'\) takes at most 4; lower the ensemble's",),
    ),
    Case(
        "ensemble_of_other_types",
        ensemble(STEP.format(model="good", key="x"), f"max_batch_size: 4 {INPUT.replace('FP32', 'INT32')} {OUTPUT}"),
        (r"{m}/config.pbtxt: step 1 \('good'\) takes the tensor 'x' for FP32, but it is INT32 of 'ensemble_of_other",),
    ),
    Case(
        "ensemble_of_other_shapes",
        ensemble(STEP.format(model="good", key="x"), f"max_batch_size: 4 {INPUT} {OUTPUT.replace('[ 2 ]', '[ 3 ]')}"),
        (
            r"{m}/config.pbtxt: step 1 \('good'\) takes the tensor 'y' for \[-1, 2\], but it is \[-1, 3\] of "
            "'ensemble_of_other_shapes'; make the shapes agree",
        ),
    ),
    Case(
        "ensemble_that_computes",
        ensemble(STEP.format(model="good", key="x"), f"max_batch_size: 4 {INPUT} {OUTPUT} optimization {{}}"),
        ("{m}/config.pbtxt: an ensemble computes nothing itself; remove optimization",),
    ),
    Case(
        "tensorflow",
        tensorflow,
        (
            "{m}: target 'process' cannot serve TensorFlow models; expected a target that can: docker, node-pool; "
            "choose one, or convert the model to ONNX",
        ),
    ),
)
"""What is wrong with a model's folder, its files and its interface."""
