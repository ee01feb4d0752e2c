"""The access log: a line for every request, by its schema, with nothing in it that a client keeps secret."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import access_log_page, envoy_files, envoy_folder
from gateway.access_line import is_access_line, readable
from gateway.clients import Client
from gateway.front_door_options import Candidate, Triton, Upstreams, loopback
from gateway.keys import make_key
from tests.gateway.conftest import Gateway, Upstream, running, triton_of, upstream
from tests.waiting import eventually

SCHEMA = json.loads(access_log_page.json_schema())
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
INFER = "/v2/models/wine/versions/3/infer"


@pytest.fixture
def server() -> Iterator[Upstream]:
    with upstream() as started:
        yield started


@pytest.fixture
def door(tmp_path: Path, server: Upstream) -> Iterator[Gateway]:
    """A front door with small limits, before generation 7."""
    limits: dict[str, Any] = {"max_request_bytes": 1000, "timeout_seconds": 0.5, "max_concurrent_requests": 2}
    upstreams = Upstreams(triton_of(server), server.address, generation="7")
    with running(tmp_path, upstreams, requests_per_second=20, **limits) as gateway:
        yield gateway


def lines(gateway: Gateway, count: int) -> list[dict[str, Any]]:
    """Wait for so many lines, each of which fits the schema and can be read."""
    eventually(lambda: len(gateway.log_lines()) >= count)
    written = gateway.access_log.read_text().splitlines()
    assert len(written) == count
    for line in written:
        jsonschema.validate(json.loads(line), SCHEMA, format_checker=jsonschema.FormatChecker())
        assert readable(line) != line
    return gateway.log_lines()


def the_line(gateway: Gateway) -> dict[str, Any]:
    return lines(gateway, 1)[0]


@contextlib.contextmanager
def asked(gateway: Gateway, path: str) -> Iterator[http.client.HTTPConnection]:
    """A request whose connection is closed at the end."""
    with contextlib.closing(gateway.connect()) as connection:
        connection.request("POST", path, b"{}", {"Authorization": f"Bearer {gateway.keys.primary}"})
        yield connection


def test_a_granted_request_is_told_with_its_model_generation_trace_and_stages(door: Gateway) -> None:
    sent = {"X-Request-Id": "order-7", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    answer = door.ask("POST", f"{INFER}?secret=1", b"{}", headers=sent, key=door.keys.secondary)
    line = the_line(door)
    assert (line["method"], line["path"], line["route"], line["status"]) == ("POST", INFER, "infer", 200)
    assert (line["model"], line["version"], line["generation"], line["client"]) == ("wine", "3", "7", "default")
    assert line["cluster"] == "triton"
    assert (line["requestId"], line["traceId"], line["flags"], line["grpcStatus"]) == ("order-7", TRACE, "-", None)
    assert (line["bytesIn"], line["bytesOut"], line["attempts"]) == (2, len(answer.body), 1)
    took = line["durationUs"]
    assert took["door"] + took["upstream"] + took["answer"] == pytest.approx(took["total"], abs=5)
    assert took["total"] // 1000 == pytest.approx(line["durationMs"], abs=1)


def test_a_line_names_a_model_and_its_version_only_where_the_path_does(door: Gateway) -> None:
    paths = (
        "/v2/models/wine/ready",
        "/v2/models/a%20b/versions/12",
        "/v2/models",
        "/v2",
        "/score/v2/models/x",
        "/v2/models/x/y",
    )
    for path in paths:
        door.ask("GET", path)
    found = {line["path"]: (line["model"], line["version"]) for line in lines(door, len(paths))}
    nothing = (None, None)
    expected = (("wine", None), ("a%20b", "12"), nothing, nothing, nothing, nothing)
    assert found == dict(zip(paths, expected, strict=True))


def _without_key(door: Gateway) -> None:
    door.ask("POST", INFER, b"{}", key=None)


def _with_a_wrong_key(door: Gateway) -> None:
    door.ask("POST", INFER, b"{}", key=make_key())


def _not_served(door: Gateway) -> None:
    door.ask("GET", "/v2/repository/index")


def _too_large(door: Gateway) -> None:
    door.ask("POST", INFER, b"x" * 1001)


def _unsound(door: Gateway) -> None:
    door.ask("POST", INFER, b"[" * 600)


def _too_slow(door: Gateway) -> None:
    door.ask("POST", "/score?wait", b"{}")


def _no_http(door: Gateway) -> None:
    with contextlib.closing(door.connect()) as connection:
        connection.send(b"junk\r\n\r\n")
        assert b"400" in connection.sock.recv(100)


@pytest.mark.parametrize(
    ("ask", "status", "client", "reason"),
    [
        (_without_key, 401, "", "rbac_access_denied"),
        (_with_a_wrong_key, 401, "", "rbac_access_denied"),
        (_not_served, 404, "default", "direct_response"),
        (_too_large, 413, "default", "request_payload_too_large"),
        (_unsound, 400, "default", "lua_response"),
        (_too_slow, 504, "default", "stream_idle_timeout"),
        (_no_http, 400, "", "http1.codec_error"),
    ],
)
def test_a_refused_request_is_told_with_the_reason(
    door: Gateway, ask: Callable[[Gateway], None], status: int, client: str, reason: str
) -> None:
    ask(door)
    line = the_line(door)
    assert (line["status"], line["client"]) == (status, client)
    assert line["reason"].startswith(reason)


def test_requests_above_a_limit_are_told_by_their_flags(door: Gateway) -> None:
    with ThreadPoolExecutor(30) as pool:
        list(pool.map(lambda _: door.ask("POST", "/score?wait", b"{}"), range(30)))
    found = {(line["status"], line["flags"]) for line in lines(door, 30)}
    assert {(429, "RL"), (503, "UO"), (504, "SI")} <= found


def test_a_request_without_a_server_is_told(door: Gateway, server: Upstream) -> None:
    server.stop()
    door.ask("POST", INFER, b"{}")
    line = the_line(door)
    assert (line["status"], line["generation"], line["attempts"]) == (503, "7", 4)
    assert "UF" in line["flags"]


def test_a_client_that_goes_before_its_answer_is_told(door: Gateway, server: Upstream) -> None:
    with asked(door, "/score?wait"):
        eventually(lambda: server.waiting == 1)
    line = the_line(door)
    assert (line["status"], line["flags"], line["durationUs"]["total"]) == (0, "DC", None)


def test_a_streamed_answer_is_told_once_with_all_its_bytes(door: Gateway, server: Upstream) -> None:
    with asked(door, "/v2/models/wine/generate_stream?chunks=2") as connection:
        answer = connection.getresponse()
        for _ in range(2):
            assert door.log_lines() == []
            server.let_go()
            assert answer.readline()
        answer.read()
    line = the_line(door)
    assert (line["status"], line["route"], line["bytesOut"]) == (200, "generate_stream", len("chunk 0\n") * 2)
    assert line["durationUs"]["answer"] > 0


def test_a_client_that_goes_amid_a_stream_is_told_with_what_it_got(door: Gateway, server: Upstream) -> None:
    with asked(door, "/score?chunks=2") as connection:
        answer = connection.getresponse()
        server.let_go()
        assert answer.readline() == b"chunk 0\n"
    line = the_line(door)
    assert (line["status"], line["flags"], line["bytesOut"]) == (200, "DC", 8)


def test_requests_of_grpc_are_told_with_their_status(tmp_path: Path, server: Upstream) -> None:
    triton = grpc.server(ThreadPoolExecutor(2), handlers=[_Triton()])
    port = triton.add_insecure_port("127.0.0.1:0")
    triton.start()
    upstreams = Upstreams(Triton(server.address, loopback(port), server.address), generation="2")
    with running(tmp_path, upstreams) as gateway:
        with grpc.insecure_channel(f"127.0.0.1:{gateway.options.listen.port}") as channel:
            key = [("authorization", f"Bearer {gateway.keys.primary}")]
            channel.unary_unary(f"{_SERVICE}/ModelInfer")(b"x", metadata=key, timeout=10)
            stream = channel.stream_stream(f"{_SERVICE}/ModelStreamInfer")
            assert list(stream(iter([b"x", b"y"]), metadata=key, timeout=10)) == [b"x", b"y"]
            for method, metadata in (("ModelInfer", []), ("RepositoryIndex", key), ("ModelReady", key)):
                with pytest.raises(grpc.RpcError):
                    channel.unary_unary(f"{_SERVICE}/{method}")(b"x", metadata=metadata, timeout=10)
        found = [
            (line["path"].rpartition("/")[2], line["grpcStatus"], line["client"], line["generation"])
            for line in lines(gateway, 5)
        ]
    triton.stop(0).wait(5)
    assert found == [
        ("ModelInfer", "OK", "default", "2"),
        ("ModelStreamInfer", "OK", "default", "2"),
        ("ModelInfer", "UNAUTHENTICATED", "", None),
        ("RepositoryIndex", "UNIMPLEMENTED", "default", None),
        ("ModelReady", "NOT_FOUND", "default", "2"),
    ]


_SERVICE = "/inference.GRPCInferenceService"


class _Triton(grpc.GenericRpcHandler):
    """Gives each message back; knows no model."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        if details.method.endswith("ModelStreamInfer"):
            return grpc.stream_stream_rpc_method_handler(lambda requests, _: requests)
        if details.method.endswith("ModelReady"):
            return grpc.unary_unary_rpc_method_handler(
                lambda _, context: context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
            )
        return grpc.unary_unary_rpc_method_handler(lambda request, _: request)


def test_each_line_names_the_generation_that_answered(tmp_path: Path) -> None:
    with upstream("old") as old, upstream("new") as new:
        before, after = (
            Upstreams(triton_of(server), server.address, generation=number)
            for server, number in ((old, "1"), (new, "2"))
        )
        with running(tmp_path, before) as gateway, ThreadPoolExecutor(1) as pool:
            under_way = pool.submit(gateway.ask, "POST", "/score?wait", b"{}")
            eventually(lambda: old.waiting == 1)
            rendered = envoy_files.render_endpoints(after, before)
            envoy_folder.replace(gateway.directory, rendered, gateway.admin)
            assert gateway.ask("POST", "/score", b"{}").json()["server"] == "new"
            old.let_go()
            assert under_way.result(10).json()["server"] == "old"
            assert [line["generation"] for line in lines(gateway, 2)] == ["2", "1"]


def test_each_line_names_its_client_also_where_it_is_refused(tmp_path: Path, server: Upstream) -> None:
    clients = (Client(name="checkout", models=("wine",)), Client(name="nobody", requests_per_second=1))
    with running(tmp_path, Upstreams(triton_of(server), server.address), clients=clients) as gateway:
        checkout, slow = (gateway.client_keys[client.name].primary for client in clients)
        gateway.ask("POST", INFER, b"{}", key=checkout)
        gateway.ask("POST", "/v2/models/iris/infer", b"{}", key=checkout)
        gateway.ask("GET", "/v2/models/wine", key=checkout)
        for _ in range(2):
            gateway.ask("POST", "/score", b"{}", key=slow)
        gateway.ask("POST", INFER, b"{}", headers={"x-client-name": "checkout"}, key=make_key())
        found = [(line["status"], line["client"], line["model"]) for line in lines(gateway, 6)]
    assert found == [
        (200, "checkout", "wine"),
        (403, "checkout", "iris"),
        (200, "checkout", "wine"),
        (200, "nobody", None),
        (429, "nobody", None),
        (401, "", "wine"),
    ]


def test_where_no_key_is_asked_for_nobody_is_named(tmp_path: Path, server: Upstream) -> None:
    with running(tmp_path, Upstreams(scorer=server.address), auth_enabled=False) as gateway:
        gateway.ask("POST", "/score", b"{}", headers={"x-client-name": "checkout"}, key=None)
        assert (the_line(gateway)["status"], the_line(gateway)["client"]) == (200, "")


def test_load_balancers_health_checks_have_no_line(tmp_path: Path, server: Upstream) -> None:
    with running(tmp_path, Upstreams(scorer=server.address), health_path="/healthz") as gateway:
        assert gateway.ask("GET", "/healthz", key=None).status == 200
        gateway.ask("POST", "/score", b"{}", key=None)
        gateway.ask("POST", "/score", b"{}")
        assert [line["status"] for line in lines(gateway, 2)] == [401, 200]


def test_a_line_tells_whether_the_candidate_answered(tmp_path: Path) -> None:
    with upstream("old") as old, upstream("new") as new:
        serving, candidate = (
            Upstreams(triton_of(server), server.address, generation=number)
            for server, number in ((old, "1"), (new, "2"))
        )
        with running(tmp_path, serving, candidate=Candidate(candidate, weight=50)) as gateway:
            answers = [gateway.ask("POST", "/score", b"{}").json()["server"] for _ in range(30)]
            gateway.ask("GET", "/v2/health/ready")
            *scored, health = lines(gateway, 31)
    expected = {"old": ("scorer", "1"), "new": ("scorer-candidate", "2")}
    assert [(line["cluster"], line["generation"]) for line in scored] == [expected[server] for server in answers]
    assert set(answers) == {"old", "new"}
    assert (health["cluster"], health["generation"]) == ("triton_operations", "1")
    told = readable(json.dumps(LINE | {"cluster": "triton-candidate"}))
    assert told.endswith("client=default generation=3 candidate=yes id=c99c20db")


def test_a_copy_for_the_candidate_has_no_line_of_its_own(tmp_path: Path) -> None:
    with upstream("old") as old, upstream("new") as new:
        copied = Candidate(Upstreams(scorer=new.address, generation="2"), mirror=100)
        with running(tmp_path, Upstreams(scorer=old.address, generation="1"), candidate=copied) as gateway:
            for _ in range(5):
                gateway.ask("POST", "/score", b"{}")
            assert {line["generation"] for line in lines(gateway, 5)} == {"1"}


def test_without_the_option_nothing_is_written(tmp_path: Path, server: Upstream) -> None:
    with running(tmp_path, Upstreams(scorer=server.address), access_log=False) as gateway:
        assert gateway.ask("POST", "/score", b"{}").status == 200
        assert gateway.ask("POST", "/score", b"{}", key=None).status == 401
        assert "header_to_metadata" not in (gateway.directory / "listeners.json").read_text()
    assert gateway.access_log.read_bytes() == b""


@pytest.fixture(scope="module")
def secretive(tmp_path_factory: pytest.TempPathFactory, echo: Upstream, scorer_echo: Upstream) -> Iterator[Gateway]:
    upstreams = Upstreams(triton_of(echo), scorer_echo.address)
    with running(tmp_path_factory.mktemp("secretive"), upstreams, max_request_bytes=1000) as gateway:
        yield gateway


NAMES = st.sampled_from(
    [
        "User-Agent",
        "Cookie",
        "Referer",
        "X-Forwarded-For",
        "X-Envoy-Original-Path",
        "X-Secret",
        "traceparent",
        "Origin",
        "Authorization",
        "Content-Type",
        "Forwarded",
        "X-Client-Name",
        "tracestate",
        "baggage",
        "Proxy-Authorization",
    ]
)
PATHS = st.sampled_from(
    [INFER, "/score", "/nowhere", "/v2%2fmodels/wine", "/v2/models/wine", "/", "/v2/models/wine/infer"]
)
FORMS = st.sampled_from(["{}", "Bearer {}", "a={}; b=c", "https://x/{}", "00-{}-00f067aa0ba902b7-01", "é {}"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    path=PATHS,
    headers=st.dictionaries(NAMES, FORMS, max_size=4),
    known=st.booleans(),
    encoding=st.sampled_from(["utf-8", "latin-1"]),
    body=st.sampled_from(["{}", '{{"x": "{}"}}', "{}" + "x" * 1000]),
)
def test_nothing_that_a_client_keeps_to_itself_is_in_a_line(
    secretive: Gateway, path: str, headers: dict[str, str], known: bool, encoding: str, body: str
) -> None:
    before = len(secretive.access_log.read_text().splitlines())
    secret = make_key()
    sent = {name: form.format(secret).encode(encoding) for name, form in headers.items()}
    content = body.format(secret).encode()
    with contextlib.closing(secretive.connect()) as connection:
        connection.putrequest("POST", f"{path}?key={secret}&b={secret}")
        if known and "Authorization" not in sent:
            connection.putheader("Authorization", f"Bearer {secretive.keys.primary}")
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(content)))
        connection.endheaders(content)
        connection.getresponse().read()
    eventually(lambda: len(secretive.access_log.read_text().splitlines()) > before)
    for line in secretive.access_log.read_text().splitlines()[before:]:
        jsonschema.validate(json.loads(line), SCHEMA)
    for log in (secretive.access_log, secretive.log):
        text = log.read_text()
        assert not [value for value in (secret, secretive.keys.primary) if value in text]


@settings(deadline=None)
@given(
    st.text(max_size=200),
    st.sampled_from(["path", "requestId", "method"]),
)
def test_no_clients_words_disturb_a_terminal(words: str, field: str) -> None:
    line = json.dumps(LINE | {field: words[:32]})
    shown = readable(line)
    assert shown != line
    assert shown.isprintable()


LINE = {
    "time": "2026-11-29T02:09:20.960Z",
    "client": "default",
    "address": "127.0.0.1:52606",
    "protocol": "HTTP/1.1",
    "method": "POST",
    "path": "/v2/models/wine/infer",
    "route": "infer",
    "model": "wine",
    "version": None,
    "generation": "3",
    "cluster": "triton",
    "upstream": "127.0.0.1:26212",
    "attempts": 1,
    "status": 200,
    "grpcStatus": None,
    "flags": "-",
    "reason": "via_upstream",
    "bytesIn": 2,
    "bytesOut": 120,
    "durationMs": 11,
    "durationUs": {"total": 11837, "request": 235, "door": 1689, "upstream": 9921, "answer": 226},
    "requestId": "c99c20db",
    "traceId": None,
}


def test_people_read_a_line_at_once() -> None:
    assert readable(json.dumps(LINE)) == (
        "2026-11-29 02:09:20.960 200 POST /v2/models/wine/infer 11.8 ms (door 1.7, upstream 9.9, answer 0.2) in=2 "
        "out=120 client=default generation=3 id=c99c20db"
    )
    broken = LINE | {"status": 0, "flags": "DC", "reason": "downstream_remote_disconnect", "client": ""}
    broken["durationUs"] = {"total": None, "request": 9, "door": None, "upstream": None, "answer": None}
    assert readable(f"[pod/door-1/envoy] {json.dumps(broken)}") == (
        "[pod/door-1/envoy] 2026-11-29 02:09:20.960 0 POST /v2/models/wine/infer 11 ms in=2 out=120 generation=3 "
        "id=c99c20db flags=DC why=downstream_remote_disconnect"
    )


@pytest.mark.parametrize(
    "line", ["", "{", '{"requestId":1}', "I1129 model 'x' is ready", '{"event": "scored"}', "[{}]"]
)
def test_other_lines_stay_as_they_are(line: str) -> None:
    assert readable(line) == line
    assert not is_access_line(line)


def test_the_page_and_the_schema_are_those_of_the_type() -> None:
    """`make docs` writes them."""
    for path, text in access_log_page.files().items():
        assert path.read_text() == text
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(LINE, SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(LINE | {"userAgent": "curl"}, SCHEMA)


def test_the_format_and_the_schema_have_the_same_fields(gateway: Gateway) -> None:
    listener = json.loads(envoy_files.render(dataclasses.replace(gateway.options))["listeners.json"])["resources"][0]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    log = manager["access_log"][0]["typed_config"]["log_format"]["json_format"]
    assert list(log) == list(SCHEMA["properties"]) == SCHEMA["required"]
    assert list(log["durationUs"]) == SCHEMA["$defs"]["Durations"]["required"]


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _http2(headers: dict[bytes, bytes]) -> bytes:
    """A request of HTTP/2 without a body, its headers as literals: a client library would refuse to send them."""
    block = b"".join(bytes([0, len(name)]) + name + bytes([len(value)]) + value for name, value in headers.items())
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, b"") + _frame(1, 0x05, 1, block)


@pytest.mark.parametrize("query", [b"?key=", b"?\xff\xfe=", b"?\xc3\xa9/versions/2?"])
@pytest.mark.parametrize("trace", [b"", b"\xff ", b"00-"])
def test_bytes_that_are_no_text_bring_nothing_into_a_line(secretive: Gateway, query: bytes, trace: bytes) -> None:
    """HTTP/2 may bring them, and Envoy's patterns match text alone unless told otherwise."""
    before, secret = len(secretive.log_lines()), make_key().encode()
    address = (secretive.options.listen.host, secretive.options.listen.port)
    headers = {b":method": b"POST", b":scheme": b"http", b":authority": b"x", b":path": INFER.encode() + query + secret}
    with contextlib.closing(socket.create_connection(address, 10)) as client:
        client.sendall(_http2(headers | {b"traceparent": trace + secret}))
        eventually(lambda: len(secretive.log_lines()) > before)
    assert secret not in secretive.access_log.read_bytes() + secretive.log.read_bytes()
    line = secretive.log_lines()[-1]
    assert (line["status"], line["traceId"]) == (401, None)
    assert (line["model"], line["version"]) == ("wine", "3")
