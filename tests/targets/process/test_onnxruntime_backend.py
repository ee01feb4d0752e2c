"""The ONNX Runtime backend on a real Triton: what it serves, how it batches, what it says of what it cannot serve."""

import asyncio
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from tritonclient.http import InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from serving.probing.golden_check import model_problems
from serving.probing.probe import asking
from tests import onnx_models
from tests.triton_server import Triton, build_environment, serve

PROJECT = Path(__file__).resolve().parents[3]
CPU = "instance_group [ { kind: KIND_CPU count: 1 } ]"
MERGING = f"max_batch_size: 16 dynamic_batching {{ max_queue_delay_microseconds: 20000 }} {CPU}"
VOUCHED = 'parameters { key: "independent_rows" value: { string_value: "true" } }'
CONFIGS = {
    "boxes": CPU,
    "boxes_merging": MERGING,
    "reversed_merging": MERGING,
    "apart_merging": MERGING,
    "vouched": f"{MERGING} {VOUCHED}",
    "state": 'max_batch_size: 4 sequence_batching { state [ { input_name: "a" output_name: "b" '
    "data_type: TYPE_FP32 dims: [ 2 ] } ] }",
    "versioned": f"version_policy: {{ specific: {{ versions: [ 1, 3 ] }} }} {CPU}",
    "unbatched": f"""max_batch_size: 0 {CPU}
        input [ {{ name: "x" data_type: TYPE_FP32 dims: [ -1, 2 ] }} ]
        output [ {{ name: "y" data_type: TYPE_FP32 dims: [ -1, 2 ] }} ]""",
    "renamed": f'backend: "onnxruntime" default_model_filename: "net.onnx" {CPU}',
    "lookup": f"max_batch_size: 8 dynamic_batching {{ max_queue_delay_microseconds: 200000 }} {CPU}",
    "mismatched": """max_batch_size: 8
        input [ { name: "x" data_type: TYPE_FP64 dims: [ 3 ] } ]
        output [ { name: "z" data_type: TYPE_FP32 dims: [ 2 ] } ]""",
    "gpu": "instance_group [ { kind: KIND_GPU count: 1 } ]",
    "unbatchable": "max_batch_size: 8",
    "threaded": f'parameters {{ key: "intra_op_thread_count" value: {{ string_value: "3" }} }} {CPU}',
    "misconfigured": f'parameters {{ key: "execution_mode" value: {{ string_value: "2" }} }} {CPU}',
}


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    """Triton on good and bad models, each in the folder of its name."""
    folder = tmp_path_factory.mktemp("backend")
    models = folder / "bundle" / "triton"
    shutil.copytree(PROJECT / "model_repository" / "triton", models)
    for model, config in CONFIGS.items():
        (models / model).mkdir()
        (models / model / "config.pbtxt").write_text(config)
    for version in (1, 2, 3):
        onnx_models.save_scaling(models / "versioned" / str(version), version)
        onnx_models.save_scaling(models / "newest" / str(version), version)
    for model in ("unbatched", "renamed", "mismatched", "gpu", "misconfigured", "threaded", "truncated", "state"):
        onnx_models.save_scaling(models / model / "1", 10)
    for model in ("fixed", "unbatchable"):
        onnx_models.save_scaling(models / model / "1", 10, dims=(1, 2))
    (models / "renamed" / "1" / "model.onnx").rename(models / "renamed" / "1" / "net.onnx")
    file = models / "truncated" / "1" / "model.onnx"
    file.write_bytes(file.read_bytes()[:-20])
    onnx_models.save_boxes(models / "boxes" / "1")
    onnx_models.save_boxes(models / "boxes_merging" / "1")
    onnx_models.save_reversed(models / "reversed_merging" / "1")
    onnx_models.save_apart(models / "apart_merging" / "1")
    onnx_models.save_whole(models / "vouched" / "1")
    onnx_models.save_sum(models / "per_item" / "1")
    onnx_models.save_slow(models / "slow" / "1", 12)
    onnx_models.save_lookup(models / "lookup" / "1", [10, 20, 30])
    with serve(build_environment(), folder / "bundle", folder) as server:
        yield server


def config(triton: Triton, model: str) -> dict[str, Any]:
    found: dict[str, Any] = triton.get(f"models/{model}/config")
    return found


def test_a_model_without_configuration_batches_where_its_graph_does(triton: Triton) -> None:
    completed = config(triton, "digits")
    assert completed["max_batch_size"] == 4
    assert "dynamic_batching" in completed
    assert completed["platform"] == "onnxruntime_onnx"
    assert [(t["name"], t["data_type"], t["dims"]) for t in completed["input"]] == [("image", "TYPE_FP32", [8, 8])]
    assert [(t["name"], t["dims"]) for t in completed["output"]] == [("label", [1]), ("probabilities", [10])]


def test_a_model_without_configuration_does_not_batch_where_its_graph_does_not(triton: Triton) -> None:
    completed = config(triton, "fixed")
    assert completed["max_batch_size"] == 0
    assert "dynamic_batching" not in completed
    assert triton.infer("fixed", x=("FP32", [1, 2], [1, 2])).json()["outputs"][0]["data"] == [10, 20]


def test_requests_under_load_run_as_batches(triton: Triton) -> None:
    assert "dynamic_batching" in config(triton, "slow")  # without a configuration of its own

    async def send_all() -> list[list[float]]:
        async with httpx.AsyncClient(base_url=triton.url, limits=httpx.Limits(), timeout=60) as client:
            tensors = [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [n, n]} for n in range(64)]
            path = "/v2/models/slow/infer"
            answers = await asyncio.gather(*(client.post(path, json={"inputs": [tensor]}) for tensor in tensors))
        return [answer.raise_for_status().json()["outputs"][0]["data"] for answer in answers]

    assert asyncio.run(send_all()) == [[n, n] for n in range(64)]
    stats = triton.get("models/slow/stats")["model_stats"][0]
    assert stats["inference_count"] == 64
    assert stats["execution_count"] < 48
    assert max(batch["batch_size"] for batch in stats["batch_stats"]) == 4


@pytest.mark.parametrize("model", ["boxes", "boxes_merging", "reversed_merging", "apart_merging", "vouched"])
def test_each_client_gets_the_answer_that_it_would_get_alone(triton: Triton, model: str) -> None:
    random = np.random.default_rng(7)
    sizes = random.integers(1, 4, 96).tolist()
    bodies = [
        {
            "inputs": [
                {
                    "name": "x",
                    "datatype": "FP32",
                    "shape": [size, 4],
                    "data": random.integers(0, 2, 4 * size).tolist(),
                }
            ]
        }
        for size in sizes
    ]
    path = f"/v2/models/{model}/infer"
    with httpx.Client(base_url=triton.url, timeout=60) as client:
        alone = [client.post(path, json=body).raise_for_status().json()["outputs"] for body in bodies]

    async def send_all() -> list[Any]:
        async with httpx.AsyncClient(base_url=triton.url, limits=httpx.Limits(), timeout=60) as client:
            answers = await asyncio.gather(*(client.post(path, json=body) for body in bodies))
        return [answer.raise_for_status().json()["outputs"] for answer in answers]

    assert asyncio.run(send_all()) == alone
    stats = triton.get(f"models/{model}/stats")["model_stats"][0]
    merged = stats["execution_count"] < stats["inference_stats"]["success"]["count"]
    assert merged is (model != "boxes"), "Triton must hand over several requests at once, for the test to be one"


def test_a_graph_that_does_not_keep_rows_apart_is_not_batched_and_says_so(triton: Triton) -> None:
    assert "dynamic_batching" not in config(triton, "boxes")
    assert config(triton, "boxes")["max_batch_size"] == 4  # as NVIDIA's backend has it
    said = triton.log.read_text(errors="replace")
    for model, operator in (("boxes_merging", "NonZero"), ("reversed_merging", "Slice")):
        line = f"model '{model}': each request runs by itself: operator {operator} may mix the rows of a batch"
        assert line in said
    assert "model 'vouched'" not in said


def test_a_request_without_values_is_refused_and_the_model_lives_on(triton: Triton) -> None:
    empty = triton.infer("unbatched", x=("FP32", [0, 2], []))
    assert empty.status_code == 400
    assert "input 'x' has shape [0, 2] and no values; send at least one" in empty.json()["error"]
    assert triton.infer("unbatched", x=("FP32", [1, 2], [1, 2])).status_code == 200


def test_a_model_computes_on_the_services_cores_unless_it_asks_for_a_number(triton: Triton) -> None:
    def threads(model: str) -> int:
        version = str(triton.log.parent / "bundle" / "triton" / model / "1")
        running = ((each, each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"]))  # none: it ended
        (stub,) = (each for each, command in running if any(part.startswith(version) for part in command))
        return stub.num_threads()

    assert threads("threaded") == threads("renamed") + 2, "ONNX Runtime counts the caller's thread"


def test_a_request_that_fails_does_not_fail_those_it_shares_a_batch_with(triton: Triton) -> None:
    with triton.client(concurrency=4) as client:
        answers = []
        for index in (0, 2, 99, 1):
            tensor = InferInput("index", [1, 1], "INT64")
            tensor.set_data_from_numpy(np.array([[index]]))
            answers.append(client.async_infer("lookup", [tensor]))
        assert [int(answers[at].get_result().as_numpy("value")[0, 0]) for at in (0, 1, 3)] == [10, 30, 20]
        with pytest.raises(InferenceServerException, match=r"indices element out of data bounds, idx=99"):
            answers[2].get_result()
    stats = triton.get("models/lookup/stats")["model_stats"][0]
    assert stats["execution_count"] < 4


def test_a_configuration_that_turns_batching_off_is_followed(triton: Triton) -> None:
    assert config(triton, "unbatched")["max_batch_size"] == 0
    answer = triton.infer("unbatched", x=("FP32", [6, 2], list(range(12)))).json()
    assert answer["outputs"][0]["shape"] == [6, 2]
    assert answer["outputs"][0]["data"] == [10 * value for value in range(12)]


def test_classes_have_the_labels_of_the_configuration(triton: Triton) -> None:
    wine = json.loads((PROJECT / "examples" / "data" / "wine_held_out.json").read_text())["samples"][0]
    with triton.client() as client:
        tensor = InferInput("measurements", [1, 13], "FP32")
        tensor.set_data_from_numpy(np.array([wine["measurements"]], dtype=np.float32))
        answer = client.infer("wine", [tensor], outputs=[InferRequestedOutput("cultivar", class_count=2)])
    classes = [text.decode().split(":") for text in answer.as_numpy("cultivar")[0]]
    assert classes[0][2] == wine["cultivar"]
    assert float(classes[0][0]) > float(classes[1][0])


@pytest.mark.parametrize("model", ["digits", "bidaf-9", "wine"])
def test_the_models_of_this_project_pass_their_golden_inferences(triton: Triton, model: str) -> None:
    golden = json.loads((PROJECT / "model_repository" / "triton" / model / "golden.json").read_text())
    declared = {"name": model, "version": "1", "golden": golden}
    assert model_problems(asking(triton.url, 60), triton.url, declared) == []


def test_the_latest_version_is_served_where_no_policy_says_otherwise(triton: Triton) -> None:
    assert triton.get("models/newest")["versions"] == ["3"]
    assert triton.infer("newest", x=("FP32", [1, 2], [1, 1])).json()["outputs"][0]["data"] == [3, 3]


def test_the_versions_of_the_policy_are_served_side_by_side(triton: Triton) -> None:
    assert triton.get("models/versioned")["versions"] == ["1", "3"]
    for version, expected in (("1", [1, 1]), ("3", [3, 3])):
        answer = triton.infer("versioned", version, x=("FP32", [1, 2], [1, 1])).json()
        assert (answer["model_version"], answer["outputs"][0]["data"]) == (version, expected)
    assert triton.infer("versioned", "2", x=("FP32", [1, 2], [1, 1])).status_code == 404


def test_the_model_file_may_have_another_name(triton: Triton) -> None:
    assert triton.infer("renamed", x=("FP32", [1, 2], [1, 2])).json()["outputs"][0]["data"] == [10, 20]


def test_one_value_for_each_item_of_a_batch_becomes_a_dimension_of_one(triton: Triton) -> None:
    answer = triton.infer("per_item", x=("FP32", [3, 2], [1, 2, 3, 4, 5, 6])).json()["outputs"][0]
    assert (answer["shape"], answer["data"]) == ([3, 1], [3, 7, 11])


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("truncated", r"ONNX Runtime cannot load '.*/truncated/1/model.onnx': .*Protobuf parsing failed"),
        (
            "mismatched",
            r"the configuration of 'mismatched' does not fit its ONNX graph: "
            r"input 'x' is declared as TYPE_FP64, the graph has TYPE_FP32; "
            r"input 'x' is declared with dims \[3\], the graph has \[2\]; "
            r"output 'z' is not in the graph, whose outputs are y",
        ),
        ("unbatchable", r"max_batch_size is 8, but the ONNX graph does not batch: the first dimension of x, y is not"),
        ("state", r"sequence_batching.state \(implicit state\) is not on target process"),
        ("gpu", "has kind KIND_GPU but no GPUs are available"),
        ("misconfigured", r"parameter 'execution_mode' has value '2'; expected one of 0, 1"),
    ],
)
def test_a_model_that_cannot_be_served_says_why(triton: Triton, model: str, expected: str) -> None:
    entry = triton.index()[model, "1"]
    assert entry["state"] == "UNAVAILABLE"
    assert re.search(expected, entry["reason"]), entry["reason"]


def test_a_request_of_the_wrong_shape_or_type_is_told_what_was_expected(triton: Triton) -> None:
    shape = triton.infer("digits", image=("FP32", [1, 4, 4], [0.0] * 16))
    assert shape.status_code == 400
    assert "Expected [-1,8,8], got [1,4,4]" in shape.json()["error"]
    datatype = triton.infer("digits", image=("INT32", [1, 8, 8], [0] * 64))
    assert datatype.status_code == 400
    assert "data-type is 'INT32', but model 'digits' expects 'FP32'" in datatype.json()["error"]
