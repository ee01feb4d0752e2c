"""Models that Triton refuses for what their configuration says, or for what they are."""

from collections.abc import Callable
from pathlib import Path

import onnx

from tests import onnx_models
from tests.bundle.bundles import BATCHED, Case, configure, configured


def shaped(kind: int, dims: onnx_models.Dims | None) -> Callable[[Path], None]:
    """A model whose input and output have some type and some shape, or none."""

    def build(folder: Path) -> None:
        tensors = [onnx.helper.make_tensor_value_info(name, kind, dims) for name in "xy"]
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node("Identity", ["x"], ["y"])], "test", *([t] for t in tensors)
        )
        (folder / "1").mkdir(parents=True)
        opset = onnx.helper.make_opsetid("", 13)
        onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8), folder / "1" / "model.onnx")

    return build


def python(source: str, config: str = 'backend: "python"') -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        configure(folder, config)
        (folder / "1").mkdir()
        (folder / "1" / "model.py").write_text(source)

    return build


def controlled(*controls: str) -> Callable[[Path], None]:
    listed = ", ".join(f"{{ {control} }}" for control in controls)
    return configured(f"{BATCHED} sequence_batching {{ control_input [ {listed} ] }}")


START = "kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ]"


SCHEDULERS = (
    Case(
        "no_default_priority",
        configured(f"{BATCHED} dynamic_batching {{ priority_levels: 2 }}"),
        ("{m}/config.pbtxt: default_priority_level is 0, expected 1 to priority_levels, which is 2; set it",),
    ),
    Case(
        "priority_of_no_level",
        configured(
            f"{BATCHED} dynamic_batching {{ priority_levels: 2 default_priority_level: 1 "
            "priority_queue_policy { key: 3 value { max_queue_size: 4 } } }"
        ),
        ("{m}/config.pbtxt: priority_queue_policy is for level 3, expected 1 to priority_levels, which is 2",),
    ),
    Case(
        "order_and_priorities",
        configured(
            f"{BATCHED} dynamic_batching {{ preserve_ordering: true priority_levels: 2 default_priority_level: 1 }}"
        ),
        ("{m}/config.pbtxt: priority_levels is 2, expected 1 with preserve_ordering; remove one of the two",),
    ),
    Case(
        "order_and_delay",
        configured(
            f"{BATCHED} dynamic_batching {{ preserve_ordering: true "
            "default_queue_policy { timeout_action: DELAY default_timeout_microseconds: 9 } }"
        ),
        ("{m}/config.pbtxt: default_queue_policy has timeout_action DELAY, expected REJECT with preserve_ordering",),
    ),
    Case(
        "control_kind_twice",
        controlled(f'name: "a" control [ {{ {START} }} ]', f'name: "b" control [ {{ {START} }} ]'),
        ("{m}/config.pbtxt: CONTROL_SEQUENCE_START of sequence_batching is there twice; remove one",),
    ),
    Case(
        "control_tensor_twice",
        controlled(
            f'name: "a" control [ {{ {START} }} ]',
            f'name: "a" control [ {{ {START.replace("START", "END")} }} ]',
        ),
        ("{m}/config.pbtxt: control_input 'a' of sequence_batching is there twice; put its controls together",),
    ),
    Case(
        "control_without_value",
        controlled('name: "a" control [ { kind: CONTROL_SEQUENCE_READY } ]'),
        ("{m}/config.pbtxt: control_input 'a' has none of int32_false_true, fp32_false_true, bool_false_true for",),
    ),
    Case(
        "correlation_of_floats",
        controlled('name: "a" control [ { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_FP32 } ]'),
        ("{m}/config.pbtxt: control_input 'a' has data_type TYPE_FP32; expected one of TYPE_UINT64",),
    ),
    Case(
        "cache_of_sequences",
        configured(f"{BATCHED} sequence_batching {{}} response_cache {{ enable: true }}"),
        ("{m}/config.pbtxt: response_cache does not go with sequence_batching; remove one of the two",),
    ),
    Case(
        "batch_input_of_nothing",
        configured(f'{BATCHED} batch_input [ {{ target_name: "n" data_type: TYPE_FP32 }} ]'),
        ("{m}/config.pbtxt: batch_input 'n' has 0 values of source_input; expected 1",),
        target="docker",
    ),
    Case(
        "batch_input_of_nobody",
        configured(f'{BATCHED} batch_input [ {{ target_name: "n" data_type: TYPE_FP32 source_input: "xx" }} ]'),
        ("{m}/config.pbtxt: batch_input 'n' has the source_input 'xx', which is no input; expected one of x; did you",),
        target="docker",
    ),
    Case(
        "batch_output_for_nobody",
        configured(
            f'{BATCHED} batch_output [ {{ target_name: [ "y", "y", "z" ] source_input: "x" '
            "kind: BATCH_SCATTER_WITH_INPUT_SHAPE } ]"
        ),
        (
            r"{m}/config.pbtxt: batch_output 'y' is there 2 times in target_name; expected it once",
            "{m}/config.pbtxt: batch_output 'z' is no output; expected one of y",
        ),
        target="docker",
    ),
)
"""What Triton's core refuses in the settings of a scheduler."""

SETTINGS = (
    Case(
        "processors_with_gpus",
        configured(f"{BATCHED} instance_group [ {{ kind: KIND_CPU gpus: [ 0 ] }} ]"),
        ("{m}/config.pbtxt: instance_group 1 has KIND_CPU and names GPUs; remove gpus, or write KIND_GPU",),
    ),
    Case(
        "gpu_below_zero",
        configured(f"{BATCHED} instance_group [ {{ kind: KIND_GPU gpus: [ -1 ] }} ]"),
        ("{m}/config.pbtxt: instance_group 1 names the GPU -1; expected numbers from 0",),
    ),
    Case(
        "profile_of_onnx",
        configured(f'platform: "onnxruntime_onnx" {BATCHED} instance_group [ {{ kind: KIND_CPU profile: "1" }} ]'),
        ("{m}/config.pbtxt: instance_group 1 has a profile, which TensorRT's models alone have; remove it",),
    ),
    Case(
        "format_of_rows",
        configured(BATCHED.replace("dims", "format: FORMAT_NHWC dims", 1)),
        (r"{m}/config.pbtxt: input 'x' has a format \(NHWC, NCHW\), which needs 3 dims",),
    ),
    Case(
        "shape_tensor_of_onnx",
        configured(f'backend: "onnxruntime" {BATCHED.replace("dims", "is_shape_tensor: true dims", 1)}'),
        ("{m}/config.pbtxt: input 'x' has is_shape_tensor, which TensorRT's models alone have; remove it",),
    ),
    Case(
        "runtime_elsewhere",
        configured(f'backend: "onnxruntime" runtime: "../libtriton_onnxruntime.so" {BATCHED}'),
        ("{m}/config.pbtxt: runtime '../libtriton_onnxruntime.so' leaves the backend's folder",),
    ),
    Case(
        "runtime_nowhere",
        configured(f'backend: "onnxruntime" runtime: "libtriton_mine.so" {BATCHED}'),
        ("{m}/config.pbtxt: runtime 'libtriton_mine.so' is not there; expected the file name of a library",),
    ),
    Case(
        "metric_without_buckets",
        configured(
            f'{BATCHED} model_metrics {{ metric_control: [ {{ metric_identifier: {{ family: "f" }} '
            "histogram_options: {} } ] }"
        ),
        ("{m}/config.pbtxt: metric_control 1 of model_metrics has no histogram_options with buckets; add them",),
    ),
    Case(
        "version_that_is_absent",
        configured(f"version_policy: {{ specific: {{ versions: [ 1, 99 ] }} }} {BATCHED}"),
        ("{m}/config.pbtxt: version_policy names 99, which Triton would leave out in silence",),
        triton_refuses=False,
    ),
    Case(
        "syntax",
        python("class TritonPythonModel:\n    def execute(self, requests)\n        return []\n"),
        (r"{m}/1/model.py: does not compile: line 2: .* in 'def execute\(self, requests\)'; mend it",),
    ),
    Case(
        "no_class",
        python("class Model:\n    def execute(self, requests): ...\n"),
        ("{m}/1/model.py: has no class TritonPythonModel, which Triton's Python backend looks for; add it",),
    ),
    Case(
        "described_in_part",
        python(
            "class TritonPythonModel:\n    def execute(self, requests): ...\n",
            'backend: "python" input [ { name: "x" dims: [ 1 ] } ] output [ { name: "y" data_type: TYPE_FP32 } ]',
        ),
        (
            "{m}/config.pbtxt: input 'x' has no data_type; add one, such as TYPE_FP32",
            r"{m}/config.pbtxt: output 'y' has no dims; add them, such as dims: \[ -1 \]",
        ),
    ),
    Case(
        "dimension_of_zero",
        shaped(onnx.TensorProto.FLOAT, (0, 2)),
        (
            r"{m}/1/model.onnx: input 'x' has the shape \[0, 2\]; expected dimensions of 1 or more",
            r"{m}/1/model.onnx: output 'y' has the shape \[0, 2\]; expected dimensions of 1 or more",
        ),
    ),
    Case(
        "no_shape",
        shaped(onnx.TensorProto.FLOAT, None),
        (
            "{m}/1/model.onnx: input 'x' has no shape, which ONNX Runtime and Triton take for a single value; .* write "
            r'input \[ { name: "x" dims: \[ 1 \] ... } \] into config.pbtxt',
            "{m}/1/model.onnx: output 'y' has no shape",
        ),
        triton_refuses=False,  # it takes one value for it, and refuses every request that has more
    ),
    Case(
        "brain_floats",
        shaped(onnx.TensorProto.BFLOAT16, ("batch", 2)),
        (
            "{m}/1/model.onnx: 'x' is BF16, which Triton's Python backend cannot read",
            "{m}/1/model.onnx: 'y' is BF16, which Triton's Python backend cannot read",
        ),
    ),
)
"""What Triton refuses elsewhere in a configuration, and in models themselves."""
