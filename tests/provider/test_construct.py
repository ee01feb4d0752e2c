"""Components over gRPC, as an engine asks for them on behalf of a program in any language."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import provider_pb2, resource_pb2, resource_pb2_grpc

from tests.provider.server import serving, told

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def reference(kind: str, name: str) -> dict[str, Any]:
    """A component as it is on the wire."""
    return {
        _SIGNATURE: _RESOURCE,
        "urn": urn(f"triton:index:{kind}", name),
        "name": name,
        "type": f"triton:index:{kind}",
    }


def urn(kind: str, name: str) -> str:
    return f"urn:pulumi:test::mine::{kind}::{name}"


class Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    """An engine's monitor at a preview: it keeps what is registered, and knows nothing that only providers make."""

    def __init__(self) -> None:
        self.registered: dict[str, Any] = {}
        self.states: dict[str, Any] = {}

    def SupportsFeature(self, request: Any, context: Any) -> Any:
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in ("secrets", "resourceReferences"))

    def RegisterResource(self, request: Any, context: Any) -> Any:
        self.registered[request.name] = request
        return resource_pb2.RegisterResourceResponse(urn=urn(request.type, request.name), object=request.object)

    def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:
        self.states[request.urn] = json_format.MessageToDict(request.outputs)
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        assert request.tok == "pulumi:pulumi:getResource"
        found = request.args["urn"]
        answer = struct_pb2.Struct()
        json_format.ParseDict({"urn": found, "id": "", "state": self.states[found]}, answer)
        return provider_pb2.InvokeResponse(**{"return": answer})


class Package:
    """The package's provider, and the monitor that it registers with."""

    def __init__(self, ask: Any, monitor: Monitor, address: str) -> None:
        self.ask, self.monitor, self._address = ask, monitor, address

    def construct(self, kind: str, name: str, inputs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        given = struct_pb2.Struct()
        json_format.ParseDict(inputs, given)
        answer = self.ask.Construct(
            provider_pb2.ConstructRequest(
                project="mine",
                stack="test",
                dryRun=True,
                monitorEndpoint=self._address,
                type=f"triton:index:{kind}",
                name=name,
                inputs=given,
            )
        )
        state = json_format.MessageToDict(answer.state)
        self.monitor.states[answer.urn] = state
        return answer.urn, state


@pytest.fixture(scope="module")
def served() -> Any:
    with serving() as server:
        yield server


@pytest.fixture
def package(served: Any) -> Any:
    monitor = Monitor()
    listening = grpc.server(ThreadPoolExecutor(8))
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(monitor, listening)
    address = f"127.0.0.1:{listening.add_insecure_port('127.0.0.1:0')}"
    listening.start()
    yield Package(served.ask, monitor, address)
    listening.stop(None)


def test_a_program_in_any_language_declares_a_service(package, bundle_folder, tmp_path):
    places = {"registry": str(tmp_path / "registry"), "stateDirectory": str(tmp_path / "var")}
    found, state = package.construct("ModelBundle", "triton_model", {"path": str(bundle_folder), **places})
    assert found == urn("triton:index:ModelBundle", "triton_model")
    assert (state["name"], state["version"]) == ("triton_model", UNKNOWN)
    variables = {"WORKER_COUNT": "2"}
    package.construct("TritonEnvironment", "Mine", {"clone": "AzureML-Triton", "variables": variables})
    _, state = package.construct(
        "TritonService",
        "web",
        {
            "models": [reference("ModelBundle", "triton_model")],
            "environment": reference("TritonEnvironment", "Mine"),
            "deployment": {"target": "process", "cpuCores": 2, "port": 16789},
            "stateDirectory": places["stateDirectory"],
        },
    )
    assert state["scoringUri"] == "http://localhost:16789"
    assert state["modelId"] == UNKNOWN
    registered = package.monitor.registered
    service = json_format.MessageToDict(registered["web-deployment-service"].object)
    assert service["resources"]["cpuCores"] == 2
    assert service["variables"]["WORKER_COUNT"] == "2"
    assert service["bundles"][0]["version"] == UNKNOWN
    assert registered["web-deployment-service"].parent == urn("triton:index:ProcessDeployment", "web-deployment")
    assert registered["web"].parent == ""


@pytest.mark.parametrize(
    ("kind", "inputs", "words"),
    [
        ("ModelBundle", {"path": "nowhere"}, "nowhere: does not exist; expected a model's folder; correct the path"),
        ("ModelBundle", {}, "ModelBundle 'x' has 1 mistake:\n  path: is missing, and so is version"),
        (
            "TritonEnvironment",
            {"clone": "Azure"},
            "TritonEnvironment 'x' has 1 mistake:\n  clone has the value 'Azure'",
        ),
        ("TritonService", {"models": [], "deploymnt": {}}, "triton:index:TritonService 'x' has no property deploymnt"),
        ("TritonServer", {}, "the package triton has no component 'triton:index:TritonServer'; there is triton:index:"),
    ],
)
def test_a_mistake_is_told_without_a_traceback(package, kind, inputs, words):
    with pytest.raises(grpc.RpcError) as raised:
        package.construct(kind, "x", inputs)
    assert words in told(raised.value)
    assert "Traceback" not in told(raised.value)
    assert not package.monitor.registered


def test_a_mistake_behind_a_reference_is_told_too(package, bundle_folder, tmp_path):
    package.construct("ModelBundle", "m", {"path": str(bundle_folder), "registry": str(tmp_path / "registry")})
    with pytest.raises(grpc.RpcError) as raised:
        package.construct(
            "TritonService", "web", {"models": [reference("ModelBundle", "m")], "deployment": {"port": 0}}
        )
    assert (
        told(raised.value)
        == "TritonService 'web' has 1 mistake:\n  deployment.port has the value 0: expected at least 1"
    )
    # The component itself may be on its way to the engine when its mistake is found; nothing below it is.
    assert set(package.monitor.registered) - {"web"} == {"m", "m-version"}


def test_two_services_of_a_program_in_any_language_have_different_ports(package, bundle_folder, tmp_path):
    folder = {"stateDirectory": str(tmp_path / "var")}
    model = {"path": str(bundle_folder), "registry": str(tmp_path / "registry"), **folder}
    package.construct("ModelBundle", "triton_model", model)
    inputs = {"models": [reference("ModelBundle", "triton_model")], "deployment": {"port": 16788}, **folder}
    package.construct("TritonService", "one", inputs)
    package.construct("TritonService", "one", inputs)
    with pytest.raises(grpc.RpcError) as caught:
        package.construct("TritonService", "two", inputs)
    expected = "TritonService 'one' of this program has the same; choose another deployment.port"
    assert f"deployment.port has the value '16788': {expected}" in told(caught.value)


def test_the_schema_describes_components_with_units_defaults_enums_and_secrets(served):
    schema = json.loads(served.ask.GetSchema(provider_pb2.GetSchemaRequest()).schema)
    service = schema["resources"]["triton:index:TritonService"]
    assert service["requiredInputs"] == ["models"]
    assert service["inputProperties"]["models"]["items"] == {"$ref": "#/resources/triton:index:ModelBundle"}
    assert service["inputProperties"]["primaryKey"]["secret"]
    for kind in [resource for resource in schema["resources"].values() if resource.get("isComponent")]:
        for name, described in {**kind["inputProperties"], **kind["properties"]}.items():
            assert described["description"], name
    kinds = {name.rpartition(":")[2]: described for name, described in schema["types"].items()}
    assert [value["value"] for value in kinds["Target"]["enum"]] == ["process", "docker", "node-pool"]
    timeout = kinds["Deployment"]["properties"]["scoringTimeoutMs"]
    assert (timeout["default"], "(unit: ms)" in timeout["description"]) == (60000, True)
