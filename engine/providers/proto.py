"""Pulumi's gRPC messages and stubs, loaded from its SDK without importing the SDK.

`import pulumi` takes 0.4 s, nearly all of it for what only programs need; the stubs alone take 0.1 s.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pulumi.runtime.proto import (
        alias_pb2,
        engine_pb2,
        engine_pb2_grpc,
        errors_pb2,
        provider_pb2,
        provider_pb2_grpc,
        resource_pb2,
        resource_pb2_grpc,
        status_pb2,
    )
else:
    _PACKAGE = "engine_pulumi_proto"
    _sdk = importlib.util.find_spec("pulumi")
    if _sdk is None:
        raise ImportError("The package 'pulumi' is not installed. Run the engine with the project's own interpreter.")
    _stubs = types.ModuleType(_PACKAGE)
    _stubs.__path__ = [f"{location}/runtime/proto" for location in _sdk.submodule_search_locations]
    sys.modules[_PACKAGE] = _stubs

    alias_pb2 = importlib.import_module(f"{_PACKAGE}.alias_pb2")
    errors_pb2 = importlib.import_module(f"{_PACKAGE}.errors_pb2")
    provider_pb2 = importlib.import_module(f"{_PACKAGE}.provider_pb2")
    provider_pb2_grpc = importlib.import_module(f"{_PACKAGE}.provider_pb2_grpc")
    resource_pb2 = importlib.import_module(f"{_PACKAGE}.resource_pb2")
    resource_pb2_grpc = importlib.import_module(f"{_PACKAGE}.resource_pb2_grpc")
    status_pb2 = importlib.import_module(f"{_PACKAGE}.status_pb2")
    engine_pb2 = importlib.import_module(f"{_PACKAGE}.engine_pb2")
    engine_pb2_grpc = importlib.import_module(f"{_PACKAGE}.engine_pb2_grpc")

__all__ = [
    "CHANNEL_OPTIONS",
    "alias_pb2",
    "engine_pb2",
    "engine_pb2_grpc",
    "errors_pb2",
    "provider_pb2",
    "provider_pb2_grpc",
    "resource_pb2",
    "resource_pb2_grpc",
    "status_pb2",
]

# The SDK's own limits: 400 MiB a message, and half an hour in the server's queue. And the CLI's: 16 MiB an error.
CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", 400 * 1024 * 1024),
    ("grpc.max_send_message_length", 400 * 1024 * 1024),
    ("grpc.max_metadata_size", 16 * 1024 * 1024),
    ("grpc.server_max_unrequested_time_in_server", 30 * 60),
]
