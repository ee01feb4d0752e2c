"""The provider of `test:index:Thing`: its objects are files in the folder `objects`, so that a test sees what there is.

`kind` and `source` cannot be changed in place. `fail` names the operation to refuse, `slow` the seconds that each one
takes. It speaks the older protocol and takes no secrets: the engine marks in the results what came from one.
"""

import json
import os
import time
from concurrent import futures
from pathlib import Path
from typing import Any, NoReturn

import grpc
from google.protobuf import empty_pb2, struct_pb2

from engine.providers.proto import provider_pb2, provider_pb2_grpc  # the SDK takes longer to import than most tests

from engine_pulumi_proto import plugin_pb2  # type: ignore[import-not-found]  # isort: skip

OBJECTS = Path("objects")


class Things(provider_pb2_grpc.ResourceProviderServicer):
    def Configure(self, request: Any, context: Any) -> Any:
        return provider_pb2.ConfigureResponse(acceptSecrets=False)

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="0.1.0")

    def Check(self, request: Any, context: Any) -> Any:
        failures = []
        if read(request.news).get("fail") == "check":
            failures.append(provider_pb2.CheckFailure(property="fail", reason="not like this"))
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        old, new = read(request.olds), read(request.news)
        keys = [key for key in ("kind", "value", "token", "source") if old.get(key) != new.get(key)]
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if keys else provider_pb2.DiffResponse.DIFF_NONE,
            replaces=[key for key in keys if key in ("kind", "source")],
            deleteBeforeReplace=bool(new.get("delete_first")),
        )

    def Create(self, request: Any, context: Any) -> Any:
        props = read(request.properties)
        self._work("create", props, context)
        OBJECTS.mkdir(exist_ok=True)
        id_ = f"{props['name']}-{props.get('kind')}"
        outputs = self._outputs(props)
        (OBJECTS / id_).write_text(json.dumps(outputs))
        return provider_pb2.CreateResponse(id=id_, properties=struct(outputs))

    def Update(self, request: Any, context: Any) -> Any:
        new = read(request.news)
        self._work("update", new, context)
        outputs = self._outputs(new)
        (OBJECTS / request.id).write_text(json.dumps(outputs))
        return provider_pb2.UpdateResponse(properties=struct(outputs))

    def Read(self, request: Any, context: Any) -> Any:
        props = read(request.properties)
        path = OBJECTS / request.id
        if props.get("slow_read"):
            self._note("read", props)
            time.sleep(props["slow_read"])
        if props.get("fail") == "read":
            self._refuse("read", context)
        if not path.exists():
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(id=request.id, properties=struct({**props, **json.loads(path.read_text())}))

    def Delete(self, request: Any, context: Any) -> Any:
        self._work("delete", read(request.properties), context)
        (OBJECTS / request.id).unlink(missing_ok=True)
        return empty_pb2.Empty()

    def _work(self, operation: str, props: dict[str, Any], context: Any) -> None:
        self._note(operation, props)
        time.sleep(props.get("slow") or 0)
        if props.get("fail") == operation:
            self._refuse(operation, context)
        if props.get("fail") == f"{operation} and die":
            os._exit(1)

    def _note(self, operation: str, props: dict[str, Any]) -> None:
        with Path("calls").open("a") as calls:
            calls.write(f"{operation} {props['name']}\n")

    def _refuse(self, operation: str, context: Any) -> NoReturn:
        context.abort(grpc.StatusCode.UNKNOWN, f"no {operation} today")
        raise AssertionError

    @staticmethod
    def _outputs(props: dict[str, Any]) -> dict[str, Any]:
        return {**props, "echo": props.get("value"), "size": len(str(props.get("value"))), "ratio": 0.5, "none": None}


def read(properties: struct_pb2.Struct) -> dict[str, Any]:
    """The properties as plain values; what is null is left out."""
    return {name: plain(value) for name, value in properties.items() if value is not None}


def plain(value: Any) -> Any:
    if isinstance(value, struct_pb2.Struct):
        return read(value)
    return [plain(item) for item in value] if isinstance(value, struct_pb2.ListValue) else value


def struct(properties: dict[str, Any]) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update(properties)
    return made


server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
provider_pb2_grpc.add_ResourceProviderServicer_to_server(Things(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
server.wait_for_termination()
