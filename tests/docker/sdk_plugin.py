"""A stand-in for Pulumi's Docker provider where its plugin is not installed: the same resources, by the Docker SDK.

It serves what the program declares of that provider (`Network`, `Image`, `RemoteImage`) by Pulumi's own protocol, so
the embedded engine runs the unchanged program. Started by a file `pulumi-resource-docker` on PATH (`install`).
"""

import hashlib
import sys
from concurrent import futures
from pathlib import Path
from typing import Any

import docker
import grpc
from google.protobuf import empty_pb2, struct_pb2
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

PROJECT = Path(__file__).resolve().parents[2]
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def install(folder: Path) -> Path:
    """Write the plugin's executable into a folder for PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "pulumi-resource-docker"
    file.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(PROJECT)!r})\n"
        "from tests.docker.sdk_plugin import serve\nserve()\n"
    )
    file.chmod(0o755)
    return folder


class Network:
    """`docker:index/network:Network`."""

    def create(self, engine: docker.DockerClient, inputs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        labels = {label["label"]: label["value"] for label in inputs.get("labels", ())}
        made = engine.networks.create(inputs["name"], labels=labels)
        return str(made.id), inputs

    update = create

    def delete(self, engine: docker.DockerClient, id_: str) -> None:
        engine.networks.get(id_).remove()


class Image:
    """`docker:index/image:Image`: built from a folder, pushed unless told not to. Images are kept on delete."""

    def create(self, engine: docker.DockerClient, inputs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        build, name = inputs["build"], inputs["imageName"]
        image, _ = engine.images.build(path=build["context"], tag=name, buildargs=build.get("args") or {}, rm=True)
        digest = image.id
        if not inputs.get("skipPush"):
            for line in engine.images.push(name, stream=True, decode=True):
                if "error" in line:
                    raise RuntimeError(line["error"])
            repository = name.rpartition(":")[0]
            known = engine.images.get(name).attrs["RepoDigests"]
            digest = next(found for found in known if found.startswith(f"{repository}@"))
        return name, {**inputs, "repoDigest": digest}

    update = create

    def delete(self, engine: docker.DockerClient, id_: str) -> None:
        """Kept."""


class RemoteImage:
    """`docker:index/remoteImage:RemoteImage`: pulled where it is not here; kept on delete."""

    def create(self, engine: docker.DockerClient, inputs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        try:
            image = engine.images.get(inputs["name"])
        except docker.errors.ImageNotFound:
            image = engine.images.pull(inputs["name"])
        return str(image.id), {**inputs, "imageId": image.id}

    update = create

    def delete(self, engine: docker.DockerClient, id_: str) -> None:
        """Kept."""


KINDS: dict[str, Any] = {
    "docker:index/network:Network": Network(),
    "docker:index/image:Image": Image(),
    "docker:index/remoteImage:RemoteImage": RemoteImage(),
}


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """The protocol, as far as the program needs it."""

    def __init__(self) -> None:
        self.engine = docker.from_env(timeout=300)

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse()

    def Configure(self, request: Any, context: Any) -> Any:
        return provider_pb2.ConfigureResponse(supportsPreview=False)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="5.2.0")

    def Check(self, request: Any, context: Any) -> Any:
        inputs = MessageToDict(request.news)
        build = inputs.get("build")
        if isinstance(build, dict) and build["context"] != UNKNOWN:
            build["contextDigest"] = _digest(Path(build["context"]))
        return provider_pb2.CheckResponse(inputs=_struct(inputs))

    def Diff(self, request: Any, context: Any) -> Any:
        old, new = MessageToDict(request.olds), MessageToDict(request.news)
        changed = any(old.get(key) != value for key, value in new.items())
        return provider_pb2.DiffResponse(changes="DIFF_SOME" if changed else "DIFF_NONE")

    def Create(self, request: Any, context: Any) -> Any:
        kind = KINDS[request.urn.split("::")[2].rpartition("$")[2]]
        try:
            id_, outputs = kind.create(self.engine, MessageToDict(request.properties))
        except (docker.errors.DockerException, RuntimeError) as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        return provider_pb2.CreateResponse(id=id_, properties=_struct(outputs))

    def Update(self, request: Any, context: Any) -> Any:
        kind = KINDS[request.urn.split("::")[2].rpartition("$")[2]]
        try:
            _, outputs = kind.update(self.engine, MessageToDict(request.news))
        except (docker.errors.DockerException, RuntimeError) as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        return provider_pb2.UpdateResponse(properties=_struct(outputs))

    def Read(self, request: Any, context: Any) -> Any:
        return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)

    def Delete(self, request: Any, context: Any) -> Any:
        KINDS[request.urn.split("::")[2].rpartition("$")[2]].delete(self.engine, request.id)
        return empty_pb2.Empty()


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _struct(values: dict[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(values)
    return struct


def serve() -> None:
    """Print the port, as plugins do, and serve until the engine ends this process."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()
