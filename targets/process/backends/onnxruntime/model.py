"""Triton backend `onnxruntime`, written in Python on PyPI's onnxruntime.

The wheel `nvidia-pytriton` carries Triton's server and its Python backend, but not the ONNX Runtime backend (C++) of
NVIDIA's images. This one takes its place: a model repository, with or without `config.pbtxt`, loads with either. It
follows `onnxruntime.cc` of https://github.com/triton-inference-server/onnxruntime_backend: a graph whose inputs and
outputs all have a variable first dimension batches (`max_batch_size` 4, unless the configuration says otherwise), and
`parameters` and `optimization` of the configuration mean the same. Requests share a run, though, only where the graph
proves that each gets the answer that it would get alone (`row_proof`).

Triton imports this module as a Python-based backend, in one process for each model instance, with this folder and the
Python backend's on `sys.path`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils
from backend_batch import Array, Feeds, decode, group, run_batch
from backend_config import BackendError, check_config, complete_config, merges_requests, read_tensors
from backend_rows import why_apart_runs
from backend_session import REFUSALS, execution_providers, find_model, load_session, run_options, session_options


class TritonPythonModel:
    """One instance of an ONNX model."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config: Any) -> Any:
        """Fill in the configuration; Triton calls it for each version, unless started with auto-completion disabled."""
        _require_numpy_1()
        config = auto_complete_model_config.as_dict()
        if config["input"] and config["output"]:
            return auto_complete_model_config
        options = session_options(config)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # only its shape is read
        path = find_model(Path(pb_utils.get_model_dir()), config)
        session = load_session(path, options, ["CPUExecutionProvider"])
        inputs, outputs = read_tensors(session.get_inputs()), read_tensors(session.get_outputs())
        # In place: `add_input` and `add_output` refuse the `reshape` of a tensor with one value for each item.
        apart = not why_apart_runs(path, config)
        config.update(complete_config(config, inputs, outputs, apart=apart))
        return auto_complete_model_config

    def initialize(self, args: dict[str, str]) -> None:
        """Load the session; the text of an exception becomes the reason why Triton calls the version unavailable."""
        _require_numpy_1()
        config = json.loads(args["model_config"])
        path = find_model(Path(args["model_repository"]) / args["model_version"], config)
        providers = execution_providers(config, args["model_instance_kind"], int(args["model_instance_device_id"]))
        self._session = load_session(path, session_options(config), providers)
        inputs, outputs = read_tensors(self._session.get_inputs()), read_tensors(self._session.get_outputs())
        defaults = read_tensors(self._session.get_overridable_initializers())
        check_config(config, inputs, outputs, defaults)
        reason = why_apart_runs(path, config) if merges_requests(config) else ""
        if reason:
            pb_utils.Logger.log_warn(f"model '{config['name']}': each request runs by itself: {reason}")
        self._batching = merges_requests(config) and not reason
        self._scalars = {tensor.name for tensor in inputs if not tensor.dims}
        self._run_options = run_options(config)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """One response for each request: its outputs, or an error of its own."""
        responses: list[Any] = [None] * len(requests)
        batch: list[tuple[int, Feeds]] = []
        for index, request in enumerate(requests):
            try:
                batch.append((index, self._read(request)))
            except Exception as error:  # whatever is wrong with one request concerns no other
                responses[index] = _failure(error)
        for members in group(batch) if self._batching else [[member] for member in batch]:
            self._answer(requests, members, responses)
        return responses

    def _read(self, request: Any) -> Feeds:
        feeds: Feeds = {}
        for tensor in request.inputs():
            name, values = tensor.name(), tensor.as_numpy()
            if values.size == 0:
                # ONNX Runtime divides by such sizes in some operators, which ends the process.
                raise BackendError(f"input '{name}' has shape {list(values.shape)} and no values; send at least one")
            if values.dtype == np.object_:
                values = decode(name, values)
            feeds[name] = values.reshape(()) if name in self._scalars else values
        return feeds

    def _answer(self, requests: Sequence[Any], members: list[tuple[int, Feeds]], responses: list[Any]) -> None:
        names = sorted({name for index, _ in members for name in requests[index].requested_output_names()})
        try:
            results = run_batch(self._run, names, [feeds for _, feeds in members])
        except Exception as error:  # onnxruntime's exceptions have no public base class
            if len(members) == 1:
                responses[members[0][0]] = _failure(error)
                return
            for member in members:  # one bad request must not fail its neighbours
                self._answer(requests, [member], responses)
            return
        for (index, _), outputs in zip(members, results, strict=True):
            # Triton has no tensor without dimensions: a scalar of the graph becomes one of shape [1].
            tensors = [
                pb_utils.Tensor(name, np.atleast_1d(values)) for name, values in zip(names, outputs, strict=True)
            ]
            responses[index] = pb_utils.InferenceResponse(output_tensors=tensors)

    def _run(self, names: list[str], feeds: Feeds) -> Sequence[Array]:
        results: Sequence[Array] = self._session.run(names, feeds, self._run_options)
        return results


def _require_numpy_1() -> None:
    """Triton's Python backend is compiled for NumPy 1: arrays of NumPy 2 it reads wrongly, and without an error."""
    if int(np.__version__.partition(".")[0]) > 1:
        raise BackendError(f"Triton's Python backend needs NumPy 1, the environment has {np.__version__}; use numpy<2")


def _failure(error: Exception) -> Any:
    """An error of the request's own, or of the model's."""
    asked = isinstance(error, (BackendError, *REFUSALS))
    code = pb_utils.TritonError.INVALID_ARG if asked else pb_utils.TritonError.INTERNAL
    return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(str(error), code))
