"""Limits at the front door, each with the status and the JSON that tells the client what to do."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import resource
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway import envoy_files, envoy_folder
from gateway.front_door_options import HIGHEST, Address, Options, Upstreams, loopback
from gateway.listener import SILENT_SECONDS
from tests.gateway.conftest import Gateway, Upstream, running, triton_of, upstream
from tests.waiting import eventually


@pytest.fixture
def server() -> Iterator[Upstream]:
    with upstream() as started:
        yield started


STREAMS = ("/score", "/v2/models/digits/generate_stream")


@pytest.fixture
def limited(tmp_path: Path, server: Upstream) -> Iterator[Gateway]:
    """A front door with small limits."""
    settings = {"max_request_bytes": 1000, "timeout_seconds": 0.3, "max_concurrent_requests": 2}
    with running(tmp_path, Upstreams(triton_of(server), server.address), **settings) as gateway:
        yield gateway


@pytest.mark.parametrize("path", STREAMS)
def test_a_body_at_the_limit_passes_and_one_above_it_is_413(path: str, limited: Gateway, server: Upstream) -> None:
    assert limited.ask("POST", path, b"x" * 1000).json()["bytes"] == 1000
    before = server.requests
    answer = limited.ask("POST", path, b"x" * 1001)
    assert (answer.status, answer.headers["content-type"]) == (413, "application/json")
    assert answer.json() == {"error": "the request body is larger than the limit of 1000 bytes"}
    assert server.requests == before


def test_a_body_of_unknown_length_is_measured_as_it_comes(limited: Gateway) -> None:
    with contextlib.closing(limited.connect()) as connection:
        connection.putrequest("POST", "/v2/models/digits/infer")
        connection.putheader("Authorization", f"Bearer {limited.keys.primary}")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders(iter([b"x" * 600, b"x" * 600]), encode_chunked=True)
        assert connection.getresponse().status == 413


def test_a_slow_upstream_is_504_within_the_limit(limited: Gateway, server: Upstream) -> None:
    answer = limited.ask("POST", "/score?wait", b"{}")
    assert answer.status == 504
    assert answer.json() == {"error": "no answer within the limit of 0.3 seconds"}
    eventually(lambda: server.waiting == 0)  # the upstream is told that nobody waits any more


@pytest.mark.parametrize("path", STREAMS)
def test_a_stream_may_take_longer_than_the_timeout_but_not_be_silent(
    path: str, limited: Gateway, server: Upstream
) -> None:
    with contextlib.closing(limited.connect()) as connection:
        connection.request("POST", f"{path}?chunks=3", b"{}", {"Authorization": f"Bearer {limited.keys.primary}"})
        response = connection.getresponse()
        assert response.status == 200
        server.let_go()
        assert response.readline() == b"chunk 0\n"
        with pytest.raises(http.client.IncompleteRead):
            response.read()


def test_more_requests_than_an_upstream_may_have_are_503_and_told_to_come_again(
    limited: Gateway, server: Upstream
) -> None:
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: limited.ask("POST", "/score?wait", b"{}"), range(12)))
    overloaded = [answer for answer in answers if answer.status == 503]
    assert Counter(answer.status for answer in answers).keys() == {503, 504}
    assert overloaded[0].headers["retry-after"] == "1"
    assert overloaded[0].json() == {"error": "the service is overloaded; try again in a few seconds"}
    assert limited.ask("POST", "/score", b"{}").status == 200


def test_more_inferences_than_the_rate_are_429_and_health_is_not_counted(tmp_path: Path, server: Upstream) -> None:
    upstreams = Upstreams(triton_of(server), server.address)
    with running(tmp_path, upstreams, requests_per_second=5) as gateway:
        answers = [gateway.ask("POST", "/score", b"{}") for _ in range(20)]
        refused = next(answer for answer in answers if answer.status == 429)
        assert 5 <= sum(answer.status == 200 for answer in answers) <= 10
        assert refused.headers["retry-after"] == "1"
        assert refused.json() == {"error": "too many requests; slow down and try again"}
        assert {gateway.ask("GET", "/v2/health/ready").status for _ in range(20)} == {200}
        assert {gateway.ask("GET", "/nowhere").status for _ in range(20)} == {404}


def test_more_connections_than_the_limit_are_refused_and_the_statistics_stay_open(
    tmp_path: Path, server: Upstream
) -> None:
    with running(tmp_path, Upstreams(scorer=server.address), max_connections=2) as gateway:
        with contextlib.ExitStack() as stack:
            for _ in range(2):
                connection = stack.enter_context(contextlib.closing(gateway.connect()))
                assert gateway.ask("GET", "/", connection=connection).status == 200
            with pytest.raises((ConnectionError, http.client.HTTPException)):
                gateway.ask("GET", "/")
            assert gateway.stats("/ready").status == 200
        eventually(lambda: _opens(gateway))


def test_a_request_whose_headers_never_end_is_408(limited: Gateway) -> None:
    text = (limited.directory / "listeners.json").read_text()
    hurried = text.replace('"request_headers_timeout": "10s"', '"request_headers_timeout": "0.2s"')
    hurried = hurried.replace(envoy_files.version(text), "hurried")
    envoy_folder.replace(limited.directory, {"listeners.json": hurried}, limited.admin)
    with contextlib.closing(limited.connect()) as connection:
        connection.sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        assert connection.sock.recv(1000).startswith(b"HTTP/1.1 408 ")


def silent(gateway: Gateway, stack: contextlib.ExitStack, count: int) -> list[socket.socket]:
    """Connections that send nothing."""
    address = gateway.options.listen
    opened = [socket.create_connection((address.host, address.port), 10) for _ in range(count)]
    for connection in opened:
        stack.callback(connection.close)
    return opened


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many files for the tests' own process as it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_silent_connections_shut_nobody_out(tmp_path: Path, server: Upstream) -> None:
    with (
        contextlib.ExitStack() as stack,
        running(tmp_path, Upstreams(scorer=server.address)) as gateway,
    ):
        silent(gateway, stack, 1500)
        assert gateway.ask("GET", "/").status == 200


@pytest.mark.usefixtures("many_files")
def test_neither_do_they_under_a_small_file_limit_for_long(tmp_path: Path, server: Upstream) -> None:
    options = Options(Upstreams(scorer=server.address), str(tmp_path))
    rendered = envoy_files.render(dataclasses.replace(options, listen=loopback(1), stats=loopback(2)))
    assert f'"listener_filters_timeout": "{SILENT_SECONDS}s"' in rendered["listeners.json"]
    assert SILENT_SECONDS <= 10
    with (
        contextlib.ExitStack() as stack,
        running(tmp_path, Upstreams(scorer=server.address), max_connections=384) as gateway,
    ):
        resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (1024, 1024))
        text = (tmp_path / "listeners.json").read_text()
        hurried = text.replace('"listener_filters_timeout": "10s"', '"listener_filters_timeout": "1s"')
        envoy_folder.replace(
            tmp_path, {"listeners.json": hurried.replace(envoy_files.version(text), "hurried")}, gateway.admin
        )
        connections = silent(gateway, stack, 1500)
        eventually(lambda: _opens(gateway))
        assert [connection.recv(1) for connection in connections[:10]] == [b""] * 10
        assert "Too many open files" not in gateway.log.read_text()


def test_a_connection_that_was_used_is_closed_when_it_is_idle(tmp_path: Path, server: Upstream) -> None:
    with (
        running(tmp_path, Upstreams(scorer=server.address), idle_seconds=0.5) as gateway,
        contextlib.closing(gateway.connect()) as connection,
    ):
        assert gateway.ask("GET", "/", connection=connection).status == 200
        connection.sock.settimeout(10)
        assert connection.sock.recv(1) == b""


def test_envoy_takes_the_highest_numbers(tmp_path: Path, server: Upstream) -> None:
    highest = {name: most for name, most in HIGHEST.items() if name != "max_concurrent_requests"}
    with running(tmp_path, Upstreams(triton_of(server), server.address), **highest) as gateway:
        assert gateway.ask("GET", "/v2/health/ready").status == 200
        assert gateway.ask("POST", "/v2/models/digits/infer", b"{}").status == 200


def test_a_servers_headers_say_nothing_of_envoy(gateway: Gateway) -> None:
    headers = gateway.ask("GET", "/").headers
    assert not [name for name in headers if "envoy" in name or "envoy" in headers[name].lower()]


def test_an_upstream_that_is_away_is_503_in_json_and_comes_back_by_itself(tmp_path: Path, server: Upstream) -> None:
    with running(tmp_path, Upstreams(scorer=server.address)) as gateway:
        assert gateway.ask("GET", "/").status == 200
        server.stop()
        answer = gateway.ask("GET", "/")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["error"].startswith("the service is not ready")
        server.start()
        eventually(lambda: gateway.ask("GET", "/").status == 200)


def test_an_inference_that_broke_off_is_not_sent_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted = []

        def cut() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                accepted.append(connection.recv(10_000))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-")
                connection.close()

        threading.Thread(target=cut, daemon=True).start()
        host, port = listener.getsockname()
        with running(tmp_path, Upstreams(scorer=Address(host, port))) as gateway:
            answer = gateway.ask("POST", "/score", b"{}")
        assert answer.status in (502, 503)
        assert answer.json() == {"error": "the model server closed the connection before it answered"}
        assert len(accepted) == 1
        listener.shutdown(socket.SHUT_RDWR)


def _opens(gateway: Gateway) -> bool:
    try:
        return gateway.ask("GET", "/").status == 200
    except (ConnectionError, http.client.HTTPException):
        return False
