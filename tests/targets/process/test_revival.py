"""A model whose process died comes back, is ill until then, and harms no other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from serving.probing import probe
from tests import fragile_model, onnx_models
from tests.triton_server import Triton, build_environment, serve
from tests.waiting import eventually

MEMORY_MB = 1200
BACK_SECONDS = 60.0  # 3 on a machine that does nothing else
COUNTING = """
import numpy as np
import triton_python_backend_utils as pb

class TritonPythonModel:
    calls = 0

    def execute(self, requests):
        responses = []
        for request in requests:
            self.calls += 1
            responses.append(pb.InferenceResponse([pb.Tensor("y", np.array([self.calls], np.float32))]))
        return responses
"""


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    folder = tmp_path_factory.mktemp("revival")
    models = folder / "bundle" / "triton"
    fragile_model.save(models / "fragile")
    (models / "counting" / "1").mkdir(parents=True)
    (models / "counting" / "config.pbtxt").write_text(fragile_model.CONFIG + fragile_model.CACHED)
    (models / "counting" / "1" / "model.py").write_text(COUNTING)
    onnx_models.save_scaling(models / "scaling" / "1", 10)
    (models / "scaling" / "config.pbtxt").write_text("instance_group [ { kind: KIND_CPU count: 1 } ]")
    with serve(build_environment(), folder / "bundle", folder, memory_gb=MEMORY_MB / 1024) as server:
        yield server


def ask(triton: Triton, value: float) -> Any:
    return triton.infer("fragile", s=("FP32", [1], [value])).json()


def problems(triton: Triton, *models: str) -> list[str]:
    """What `make status` would say of these models, none of which has a golden inference."""
    wanted = [{"name": model, "version": "1", "golden": None} for model in models]
    return probe.run({"triton": {"url": triton.url, "models": wanted}, "scorer": None})


def process_of(triton: Triton, model: str) -> psutil.Process:
    version = str(triton.log.parent / "bundle" / "triton" / model / "1")
    running = ((each, each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"]))
    (stub,) = (each for each, command in running if any(part.startswith(version) for part in command))
    return stub


class Bystander:
    """Asks the ONNX model again and again, and keeps each answer."""

    def __init__(self, triton: Triton) -> None:
        self.statuses: list[int] = []
        self._triton, self._over = triton, threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        while not self._over.wait(0.02):
            self.statuses.append(self._triton.infer("scaling", x=("FP32", [1, 2], [1, 2])).status_code)

    def __enter__(self) -> Bystander:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def test_a_python_model_reads_and_prints_text_in_utf8(triton: Triton) -> None:
    assert ask(triton, 1)["outputs"][0]["data"] == [3]
    assert "words: naïve größe" in triton.log.read_text(encoding="utf-8")


def test_a_response_cache_that_a_model_asks_for_is_there(triton: Triton) -> None:
    answers = [triton.infer("counting", s=("FP32", [1], [value])).json() for value in (5, 5, 6, 5)]
    assert [answer["outputs"][0]["data"] for answer in answers] == [[1], [1], [2], [1]]


@pytest.mark.parametrize("deadly", [-1, -2], ids=["which exits", "which takes too much memory"])
def test_a_python_model_whose_process_dies_comes_back_and_harms_no_other(triton: Triton, deadly: float) -> None:
    assert problems(triton, "fragile", "scaling") == []
    with ThreadPoolExecutor(1) as pool, Bystander(triton) as bystander:
        answer = pool.submit(ask, triton, deadly)
        eventually(lambda: problems(triton, "fragile"), "the model is ill", BACK_SECONDS)
        assert problems(triton, "scaling") == []
        eventually(lambda: not problems(triton, "fragile"), "the model is back", BACK_SECONDS)
        assert "is not healthy" in answer.result()["error"]
    assert ask(triton, 2)["outputs"][0]["data"] == [4]
    assert set(bystander.statuses) == {200}
    assert "model fragile: is back after" in triton.log.read_text(errors="replace")


def test_an_onnx_model_whose_process_dies_comes_back_and_harms_no_other(triton: Triton) -> None:
    fragile = process_of(triton, "fragile")
    process_of(triton, "scaling").kill()
    eventually(lambda: problems(triton, "scaling"), "the model is ill", BACK_SECONDS)
    eventually(lambda: not problems(triton, "scaling"), "the model is back", BACK_SECONDS)
    assert triton.infer("scaling", x=("FP32", [1, 2], [1, 2])).json()["outputs"][0]["data"] == [10, 20]
    assert fragile.is_running()
    assert ask(triton, 1)["outputs"][0]["data"] == [3]
