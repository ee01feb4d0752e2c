"""The recorder behind a real front door: copies of a sample, no key among them, and no client that waits for it."""

from __future__ import annotations

import base64
import dataclasses
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from gateway import envoy_files, envoy_folder
from gateway.front_door_options import Candidate, Triton, Upstreams, loopback
from tests.gateway.conftest import Gateway, Hammer, Upstream, running, upstream
from tests.gateway.test_traffic_shares import INFER as GRPC_INFER
from tests.gateway.test_traffic_shares import STREAM, Grpc, key
from tests.recorder import Recorder, recorder
from tests.waiting import eventually

INFER = "/v2/models/digits/infer"
BODY = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1.5]}]}'


@dataclasses.dataclass
class Recorded:
    gateway: Gateway
    recorder: Recorder
    triton: Upstream
    grpc: Grpc

    @property
    def upstreams(self) -> Upstreams:
        return self.gateway.options.upstreams


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Recorded]:
    """A front door that copies every request."""
    inference = Grpc("triton")
    with upstream("triton") as triton, recorder(tmp_path / "recorder") as found:
        servers = Triton(http=triton.address, grpc=loopback(inference.port), metrics=triton.address)
        upstreams = Upstreams(servers, triton.address, loopback(found.port))
        with running(tmp_path / "envoy", upstreams, recorded=1.0, max_request_bytes=16 << 20) as gateway:
            yield Recorded(gateway, found, triton, inference)
    inference.server.stop(0).wait(5)


def test_requests_to_models_are_recorded_and_keys_reach_no_disk(recorded: Recorded) -> None:
    gateway = recorded.gateway
    assert gateway.ask("POST", INFER, BODY, {"Cookie": "a=secret-cookie", "x-request-id": "one"}).status == 200
    tensors = BODY + b"\x00\x00\xc0\x3f"
    head = {"Inference-Header-Content-Length": str(len(BODY))}
    assert gateway.ask("POST", "/v2/models/digits/versions/1/infer", tensors, head).status == 200
    with grpc.insecure_channel(f"127.0.0.1:{gateway.options.listen.port}") as opened:
        assert opened.unary_unary(GRPC_INFER)(b"\x0a\x06digits", metadata=key(gateway)) == b"triton"
        assert list(opened.stream_stream(STREAM)(iter([b"1"]), metadata=key(gateway))) == [b"triton"]
    for path in ("/score", "/v2/models/digits/generate_stream"):
        assert gateway.ask("POST", path, b"{}").status == 200
    assert gateway.ask("POST", INFER, BODY, key=None).status == 401
    assert gateway.ask("GET", "/v2/models/digits/stats").status == 200
    found = {record["path"]: record for record in recorded.recorder.await_records(3)}
    assert set(found) == {INFER, "/v2/models/digits/versions/1/infer", GRPC_INFER}
    assert (found[INFER]["input"], found[INFER]["requestId"]) == (BODY.decode(), "one")
    whole = found["/v2/models/digits/versions/1/infer"]
    assert (base64.b64decode(whole["input"]), whole["headBytes"]) == (tensors, len(BODY))
    assert found[GRPC_INFER]["input"] == "\n\x06digits"
    texts = "".join(file.read_text() for file in recorded.recorder.files()) + recorded.recorder.log.read_text()
    for secret in (gateway.keys.primary, "secret-cookie"):
        assert secret not in texts
        assert base64.b64encode(secret.encode()).decode() not in texts
    assert recorded.recorder.counts == {"written": 3, "dropped": 0}


def test_no_key_leaves_the_front_door_with_a_copy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, upstream() as triton:
        servers = Triton(http=triton.address, grpc=triton.address, metrics=triton.address)
        upstreams = Upstreams(servers, recorder=loopback(listener.getsockname()[1]))
        with running(tmp_path, upstreams, recorded=1.0, auth_enabled=False) as gateway:
            assert (
                gateway.ask("POST", INFER, BODY, {"Cookie": "secret", "Proxy-Authorization": "a"}, key="b").status
                == 200
            )
            listener.settimeout(5)
            with listener.accept()[0] as connection:
                head = connection.recv(65536).decode().lower()
    assert head.startswith(f"post {INFER} http/1.1\r\n")
    assert not [name for name in ("authorization", "cookie", "secret") if name in head]


def test_a_sample_is_a_share_of_the_requests(tmp_path: Path) -> None:
    with upstream() as triton, recorder(tmp_path / "recorder") as found:
        servers = Triton(http=triton.address, grpc=triton.address, metrics=triton.address)
        upstreams = Upstreams(servers, recorder=loopback(found.port))
        with running(tmp_path / "envoy", upstreams, recorded=0.1) as gateway, Hammer(gateway, INFER) as hammer:
            for _ in range(4):
                hammer.more(400)
        eventually(lambda: found.counts["written"] / hammer.answers == pytest.approx(0.1, abs=0.03))


def test_a_candidate_gets_its_copies_and_the_recorder_its_own(recorded: Recorded, tmp_path: Path) -> None:
    gateway, new_grpc = recorded.gateway, Grpc("new")
    with upstream("new") as new:
        upstreams = Upstreams(Triton(new.address, loopback(new_grpc.port), new.address), new.address)
        options = dataclasses.replace(recorded.gateway.options, candidate=Candidate(upstreams, mirror=100))
        envoy_folder.install(
            gateway.directory, envoy_files.render(options) | envoy_files.render_keys(gateway.keys), gateway.admin
        )
        time.sleep(0.1)
        for _ in range(20):
            assert gateway.ask("POST", INFER, BODY).json()["server"] == "triton"
        eventually(lambda: new.requests == 20)
        recorded.recorder.await_records(20)
        weighted = dataclasses.replace(options, candidate=Candidate(upstreams, weight=100))
        envoy_folder.replace(gateway.directory, envoy_files.render_routes(weighted), gateway.admin)
        time.sleep(0.1)
        assert gateway.ask("POST", INFER, BODY).json()["server"] == "new"
        assert len(recorded.recorder.await_records(21)) == 21
    new_grpc.server.stop(0).wait(5)


@pytest.mark.parametrize("size", [2, 8_000_000])
@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_one_that_hangs_or_dies_harms_no_client(number: signal.Signals, size: int, recorded: Recorded) -> None:
    gateway = recorded.gateway
    gateway.ask("POST", INFER, BODY)
    recorded.recorder.process.send_signal(number)
    slowest = 0.0
    for _ in range(20 if size > 100 else 300):
        started = time.monotonic()
        assert gateway.ask("POST", INFER, b'"' + b"x" * size + b'"').status == 200
        slowest = max(slowest, time.monotonic() - started)
    assert slowest < 2
    recorded.recorder.process.send_signal(signal.SIGCONT)


def test_it_may_die_under_load(recorded: Recorded) -> None:
    with Hammer(recorded.gateway, INFER) as hammer:
        recorded.recorder.process.kill()
        hammer.more(1000)
    assert not hammer.failures
    assert set(hammer.statuses) == {200}
    assert hammer.reconnections == 0


def test_one_that_is_too_large_for_it_is_answered_all_the_same(recorded: Recorded) -> None:
    body = b'"' + b"x" * 9_000_000 + b'"'  # it takes a sixteenth of its 100 MiB
    for _ in range(5):
        assert recorded.gateway.ask("POST", INFER, body).status == 200
    eventually(lambda: recorded.recorder.counts["dropped"] == 5)
    recorded.gateway.ask("POST", INFER, BODY)
    assert len(recorded.recorder.await_records(1)) == 1


def test_without_a_share_there_is_no_copy(tmp_path: Path, recorded: Recorded) -> None:
    rendered = dataclasses.replace(recorded.gateway.options, recorded=0.0)
    assert "request_mirror_policies" not in envoy_files.render(rendered)["routes.json"]
    with pytest.raises(ValueError, match="recorded: 2 is no share"):
        dataclasses.replace(rendered, recorded=2)
