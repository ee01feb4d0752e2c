"""Clients of a service on a cluster: granted and refused over HTTP and gRPC, until they are removed."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from cryptography.x509.oid import NameOID
from tritonclient.grpc import service_pb2, service_pb2_grpc

from gateway.keys import Keys, make_key
from targets.node_pool.object_names import FRONT_DOOR_PORT
from tests.certificates import Authority
from tests.cluster.service import DIGITS, Service
from tests.gateway.issuer import AUDIENCE, URL, issuing
from tests.waiting import eventually

GOLDEN = json.loads((DIGITS / "golden.json").read_text())["request"]
INFER = "/v2/models/digits/infer"


@contextmanager
def grpc_of(service: Service, key: str) -> Iterator[Callable[[str, Any], str]]:
    """Calls of Triton's gRPC with a key or token; each gives the name of its status."""
    with (
        service.cluster.forwarded(service.namespace, service.name, FRONT_DOOR_PORT) as port,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)

        def call(method: str, request: Any) -> str:
            try:
                getattr(stub, method)(request, metadata=[("authorization", f"Bearer {key}")], timeout=30)
            except grpc.RpcError as error:
                return str(error.code().name)
            return "OK"

        yield call


def inference(model: str) -> Any:
    """The golden inference, as a message."""
    request = service_pb2.ModelInferRequest(model_name=model)
    (tensor,) = GOLDEN["inputs"]
    made = request.inputs.add(name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"])
    made.contents.fp32_contents.extend(tensor["data"])
    return request


def test_clients_get_what_they_are_granted_until_they_are_removed(service, built):
    address = service.kube.machine()
    authority = Authority(service.folder / "issuer")
    with issuing(authority.issue((NameOID.COMMON_NAME, "login"), host=address), address) as issuer:
        jwt = {"issuer": URL, "audience": AUDIENCE, "jwksUri": issuer.jwks_uri, "caFile": "issuer/ca.pem"}
        service.clients = [
            {"name": "checkout", "models": ["digits"], "requestsPerSecond": 2},
            {"name": "batch", "jwt": {**jwt, "claims": {"realm_access.roles": "scorer"}}},
        ]
        service.client_keys = {"checkout": Keys(make_key(), make_key())}
        key = service.client_keys["checkout"].secondary
        token = issuer.token(realm_access={"roles": ["scorer"]})
        service.deploy(*built.good)
        try:
            with service.client(key) as client:
                assert client.get("/v2/models/digits").status_code == 200
                refused = client.get("/v2/models/other")
                assert (refused.status_code, "not granted the model 'other'" in refused.text) == (403, True)
                assert client.post("/score", json={}).status_code == 403
                statuses = [client.post(INFER, json=GOLDEN).status_code for _ in range(6)]
                assert set(statuses) == {200, 429}
            with service.client(token) as client:
                eventually(lambda: client.get("/v2/models/digits").status_code == 200, "the issuer's keys came", 30)
                assert {client.post(INFER, json=GOLDEN).status_code for _ in range(4)} == {200}
            with service.client(issuer.token(realm_access={"roles": ["reader"]})) as client:
                refused = client.get("/v2/models/digits")
                assert (refused.status_code, "its claims are those of no client" in refused.text) == (401, True)

            with grpc_of(service, key) as call:
                assert call("ModelMetadata", service_pb2.ModelMetadataRequest(name="digits")) == "OK"
                assert call("ModelMetadata", service_pb2.ModelMetadataRequest(name="other")) == "PERMISSION_DENIED"
                # The client's limit is the same for HTTP, and is used up.
                eventually(lambda: call("ModelInfer", inference("digits")) == "OK", "the limit allows a request", 10)
                assert "RESOURCE_EXHAUSTED" in {call("ModelInfer", inference("digits")) for _ in range(6)}
            with grpc_of(service, token) as call:
                assert {call("ModelInfer", inference("digits")) for _ in range(4)} == {"OK"}
            with grpc_of(service, "wrong-key-of-a-stranger") as call:
                assert call("ServerReady", service_pb2.ServerReadyRequest()) == "UNAUTHENTICATED"
        finally:
            service.clients, service.client_keys = [], {}
            service.deploy(*built.good)
        for shut_out in (key, token):
            assert service.get("/v2/models/digits", shut_out) == 401
        with grpc_of(service, key) as call:
            assert call("ServerReady", service_pb2.ServerReadyRequest()) == "UNAUTHENTICATED"
        assert service.get("/v2/models/digits") == 200
