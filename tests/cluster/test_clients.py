"""Requests to a service on a cluster: their traces and records, and clients, who are granted and refused."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import kr8s
import pytest
from cryptography.x509.oid import NameOID
from tritonclient.grpc import service_pb2, service_pb2_grpc

from environment.image_layout import RECORDER_PORT
from gateway.keys import Keys, make_key
from targets.machine.ports import free_ports
from targets.node_pool.object_names import FRONT_DOOR_PORT
from tests.certificates import Authority
from tests.cluster.images import PROJECT
from tests.cluster.service import DIGITS, Service
from tests.gateway.issuer import AUDIENCE, URL, issuing
from tests.otlp_sink import collector
from tests.traced import Asking, check_that_nobody_misses_it, check_that_nobody_waits, check_traces
from tests.waiting import NOBODY_ANSWERS, eventually

GOLDEN = json.loads((DIGITS / "golden.json").read_text())["request"]
INFER = "/v2/models/digits/infer"
SCORED = json.loads((PROJECT / "examples" / "scripts" / "score_digits.golden.json").read_text())["request"]
COUNTS = f"import urllib.request; print(urllib.request.urlopen('http://localhost:{RECORDER_PORT}').read().decode())"
KILL = """
import os, signal
for pid in filter(str.isdecimal, os.listdir("/proc")):
    program, *arguments = open(f"/proc/{pid}/cmdline").read().split("\\0")
    if "serving.recording" in arguments and program != "sh":
        os.kill(int(pid), signal.SIGKILL)
        print(pid)
"""


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


@pytest.fixture(scope="module")
def issuer(service):
    address = service.kube.machine()
    authority = Authority(service.folder / "issuer")
    with issuing(authority.issue((NameOID.COMMON_NAME, "login"), host=address), address) as started:
        yield started


@pytest.fixture(scope="module")
def collector_port():
    return free_ports(1)[0]


def restore(service, built):
    service.clients, service.client_keys, service.variables = [], {}, {}
    service.deploy(*built.good)


@pytest.fixture(scope="module")
def asked(service, built, issuer, collector_port):
    """The service with clients, traces and a recorder, all by one rollout; where spans go, nobody listens yet."""
    jwt = {"issuer": URL, "audience": AUDIENCE, "jwksUri": issuer.jwks_uri, "caFile": "issuer/ca.pem"}
    service.clients = [
        {"name": "checkout", "models": ["digits"], "requestsPerSecond": 2},
        {"name": "batch", "jwt": {**jwt, "claims": {"realm_access.roles": "scorer"}}},
    ]
    service.client_keys = {"checkout": Keys(make_key(), make_key())}
    service.variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{service.kube.machine()}:{collector_port}",
        # Of the recorder's own process: enough to see that it writes.
        "COLLECT_URL": "memory://collected",
        "COLLECT_SECONDS": "1",
    }
    try:
        service.deploy(*built.good, recordRequests={"sample": 1})
        yield service
    finally:
        if service.clients:
            restore(service, built)


def test_requests_have_traces_and_wait_for_no_collector(asked, collector_port):
    with asked.client() as client:
        asking = Asking(client, GOLDEN, SCORED)
        with collector(collector_port, asked.kube.machine()) as sink:
            check_traces(sink, asking, asked.name)
            check_that_nobody_waits(sink, asking)
        check_that_nobody_misses_it(sink.url, asking)


def test_requests_are_recorded_and_a_killed_recorder_comes_back(asked):
    def written():
        told = asked.kube.execute(asked.replica(), "recorder", "python", "-c", COUNTS)
        return json.loads(told)["written"]

    def restarts():
        return [status.restartCount for status in asked.replica().status.initContainerStatuses]

    def infer(times):
        with asked.client() as client:
            return [client.post("/v2/models/digits/infer", json=GOLDEN).status_code for _ in range(times)]

    before, started = written(), restarts()
    assert infer(5) == [200] * 5
    eventually(lambda: written() >= before + 5, "the requests are recorded")
    assert asked.kube.execute(asked.replica(), "recorder", "python", "-c", KILL).split(), "no recorder was killed"
    assert infer(5) == [200] * 5

    def records_again():
        return infer(1) == [200] and written() > 0

    eventually(records_again, "the recorder records again", ignoring=(*NOBODY_ANSWERS, kr8s.ExecError))
    assert restarts() == started


def test_clients_get_what_they_are_granted_until_they_are_removed(asked, built, issuer):
    key = asked.client_keys["checkout"].secondary
    token = issuer.token(realm_access={"roles": ["scorer"]})
    try:
        with asked.client(key) as client:
            assert client.get("/v2/models/digits").status_code == 200
            refused = client.get("/v2/models/other")
            assert (refused.status_code, "not granted the model 'other'" in refused.text) == (403, True)
            assert client.post("/score", json={}).status_code == 403
            statuses = [client.post(INFER, json=GOLDEN).status_code for _ in range(6)]
            assert set(statuses) == {200, 429}
        with asked.client(token) as client:
            eventually(lambda: client.get("/v2/models/digits").status_code == 200, "the issuer's keys came", 30)
            assert {client.post(INFER, json=GOLDEN).status_code for _ in range(4)} == {200}
        with asked.client(issuer.token(realm_access={"roles": ["reader"]})) as client:
            refused = client.get("/v2/models/digits")
            assert (refused.status_code, "its claims are those of no client" in refused.text) == (401, True)

        with grpc_of(asked, key) as call:
            assert call("ModelMetadata", service_pb2.ModelMetadataRequest(name="digits")) == "OK"
            assert call("ModelMetadata", service_pb2.ModelMetadataRequest(name="other")) == "PERMISSION_DENIED"
            # The client's limit is the same for HTTP, and is used up.
            eventually(lambda: call("ModelInfer", inference("digits")) == "OK", "the limit allows a request", 10)
            assert "RESOURCE_EXHAUSTED" in {call("ModelInfer", inference("digits")) for _ in range(6)}
        with grpc_of(asked, token) as call:
            assert {call("ModelInfer", inference("digits")) for _ in range(4)} == {"OK"}
        with grpc_of(asked, "wrong-key-of-a-stranger") as call:
            assert call("ServerReady", service_pb2.ServerReadyRequest()) == "UNAUTHENTICATED"
    finally:
        restore(asked, built)
    for shut_out in (key, token):
        assert asked.get("/v2/models/digits", shut_out) == 401
    with grpc_of(asked, key) as call:
        assert call("ServerReady", service_pb2.ServerReadyRequest()) == "UNAUTHENTICATED"
    assert asked.get("/v2/models/digits") == 200
