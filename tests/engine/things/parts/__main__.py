"""The plugin `parts`: the component `parts:index:Pair`, and the resource `parts:index:Part` that it is made of.

A part is a file in the folder `objects`. One process serves both, and notes in the file `calls` what it is asked, in
`constructs` the whole questions. With `PARTS_PLAIN`, it knows no output values, as an older one.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format
from pair import Pair
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.server import ProviderServicer
from pulumi.runtime import rpc
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

OBJECTS = Path("objects")


class Parts(ProviderServicer):
    """Adds the resource to the SDK's servicer, which constructs components."""

    async def Construct(self, request: Any, context: Any) -> Any:
        note(f"construct {request.name}" + (" dry" if request.dryRun else ""))
        with Path("constructs").open("a") as questions:
            questions.write(json.dumps(json_format.MessageToDict(request)) + "\n")
        return await super().Construct(request, context)

    async def Configure(self, request: Any, context: Any) -> Any:
        outputs = "PARTS_PLAIN" not in os.environ
        return provider_pb2.ConfigureResponse(acceptSecrets=True, acceptResources=True, acceptOutputs=outputs)

    async def Cancel(self, request: Any, context: Any) -> Any:
        note("cancel")
        return empty_pb2.Empty()

    async def Check(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    async def Diff(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse()

    async def Create(self, request: Any, context: Any) -> Any:
        name = request.urn.split("::")[-1]
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        properties = rpc.deserialize_properties(request.properties)
        note(f"create {name}")
        if properties.get("slow"):
            await asyncio.sleep(properties["slow"])
        if properties.get("fail") == "create":
            await context.abort(grpc.StatusCode.UNKNOWN, "no create today")
        write(name, properties)
        return provider_pb2.CreateResponse(id=name, properties=request.properties)

    async def Update(self, request: Any, context: Any) -> Any:
        if not request.preview:
            note(f"update {request.id}")
            write(request.id, rpc.deserialize_properties(request.news))
        return provider_pb2.UpdateResponse(properties=request.news)

    async def Read(self, request: Any, context: Any) -> Any:
        return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)

    async def Delete(self, request: Any, context: Any) -> Any:
        note(f"delete {request.id}")
        (OBJECTS / request.id).unlink(missing_ok=True)
        return empty_pb2.Empty()


def note(call: str) -> None:
    with Path("calls").open("a") as calls:
        calls.write(f"{call}\n")


def write(id_: str, properties: dict[str, Any]) -> None:
    OBJECTS.mkdir(exist_ok=True)
    (OBJECTS / id_).write_text(json.dumps(properties, default=str))


async def serve(engine: str) -> None:
    note("start")
    server = grpc.aio.server()
    provider = ComponentProvider([Pair], "parts", version="1.2.3")
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Parts(provider, [], engine), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


asyncio.run(serve(sys.argv[1]))
