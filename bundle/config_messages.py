"""Triton's configuration as protobuf messages, from NVIDIA's client, without the client itself.

`import tritonclient.grpc` brings gRPC and NumPy, which take five times as long as all the rest that reads a bundle.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

__all__ = ["model_config_pb2"]


def _load() -> Any:
    client = importlib.util.find_spec("tritonclient")
    if client is None or not client.submodule_search_locations:
        raise ImportError("The package 'tritonclient' is not installed; run: make setup")
    file = Path(client.submodule_search_locations[0], "grpc", "model_config_pb2.py")
    spec = importlib.util.spec_from_file_location("bundle_model_config_pb2", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


model_config_pb2 = _load()
