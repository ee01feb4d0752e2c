"""The server of the page: who may ask it, and what it says to the others."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from operate.dashboard.errors import FormError
from operate.dashboard.server import TOKEN_HEADER, Server
from targets.errors import ServiceError


def _refuse() -> None:
    raise ServiceError("the service of https://user:word@example.org is gone")


def _ask(asked: Mapping[str, Any]) -> Any:
    if asked.get("path") == "nowhere":
        raise FormError("expected a path that starts with '/'")
    return {"asked": asked}


def _fail() -> None:
    raise RecursionError("key")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(
        0,
        "mine",
        {"/figures": lambda: {"figure": 1}, "/requests": _refuse, "/description": _fail},
        _ask,
    ) as started:
        threading.Thread(target=started.serve_forever, daemon=True).start()
        yield started
        started.shutdown()


def ask(server: Server, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
    """Ask as the page does, but for the headers that are given; an empty one is left out."""
    sent = {"Host": f"127.0.0.1:{server.server_port}", TOKEN_HEADER: server.token}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)) as connection:
        connection.putrequest("GET" if body is None else "POST", path, skip_host=True)
        if body is not None and "Content-Length" not in sent:
            sent["Content-Length"] = str(len(body))
        for name, value in sent.items():
            if value:
                connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        content = response.read()
    is_json = response.headers["Content-Type"] == "application/json"
    return response.status, json.loads(content) if is_json else content.decode(), dict(response.headers)


def test_it_listens_on_this_machine_alone(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_the_page_tells_nobody_anything_and_fetches_from_its_server_alone(server: Server) -> None:
    scripts = ("/page.js", "/charts.js", "/common.js", "/api.js")
    ours = ("/", "/api", *scripts, "/page.css", "/api.css", "/report.css")
    for path in (*ours, "/swagger-ui-bundle.js", "/swagger-ui.css"):
        status, content, headers = ask(server, path, X_Dashboard_Token="")
        assert status == 200
        assert server.token not in content
        assert path not in ours or "//" not in content.replace("http://www.w3.org/2000/svg", "").replace("// ", "")
        assert "default-src 'none'; script-src 'self'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"


def test_it_serves_swagger_ui_without_the_package_that_carries_it() -> None:
    code = "import sys, operate.dashboard.server; print([name for name in sys.modules if 'flask' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_who_has_the_address_gets_the_figures_and_may_ask(server: Server) -> None:
    assert server.address == f"http://127.0.0.1:{server.server_port}/#{server.token}"
    assert ask(server, "/figures")[:2] == (200, {"figure": 1})
    assert ask(server, "/ask", b'{"path": "/"}')[:2] == (200, {"asked": {"path": "/"}})
    own = f"http://localhost:{server.server_port}"
    assert ask(server, "/ask", b"{}", Host=own.removeprefix("http://"), Origin=own)[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Dashboard_Token": ""},
        {"X_Dashboard_Token": "wrong"},
        {"X_Dashboard_Token": "wröng"},
        {"Host": ""},
        {"Host": "127.0.0.1"},
        {"Host": "example.org"},
        {"Host": "example.org:{port}"},
        {"Host": "127.0.0.1.example.org:{port}"},
        {"Origin": "http://example.org"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
    ],
    ids=str,
)
@pytest.mark.parametrize(("path", "body"), [("/figures", None), ("/ask", b"{}")])
def test_others_are_refused(server: Server, headers: dict[str, str], path: str, body: bytes | None) -> None:
    sent = {name: value.format(port=server.server_port) for name, value in headers.items()}
    status, said, answered = ask(server, path, body, **sent)
    assert status == 403
    assert "the" in said["error"]
    assert server.token not in json.dumps(said)
    assert not [name for name in answered if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/nowhere", None, {}, 404),
        ("/../server.py", None, {}, 404),
        ("/nowhere", b"{}", {}, 404),
        ("/ask", b"", {"Content_Length": "many"}, 411),
        ("/ask", b"", {"Content_Length": "-1"}, 413),
        ("/ask", b"", {"Content_Length": "99999999999"}, 413),
        ("/ask", b"{", {}, 400),
        ("/ask", b"[]", {}, 400),
        ("/ask", b"[" * 100_000, {}, 400),
    ],
)
def test_what_cannot_be_answered_is_told(
    server: Server, path: str, body: bytes | None, headers: dict[str, str], status: int
) -> None:
    found, said, _ = ask(server, path, body, **headers)
    assert found == status
    assert said["error"]


def test_no_browser_is_told_that_another_site_may_ask(server: Server) -> None:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)) as connection:
        connection.request("OPTIONS", "/ask", headers={"Origin": "http://example.org"})
        response = connection.getresponse()
        assert response.status == 501
        assert not [name for name, _ in response.getheaders() if name.lower().startswith("access-control")]


def test_an_error_for_people_is_their_answer_without_credentials(server: Server) -> None:
    status, said, _ = ask(server, "/requests")
    assert (status, "word" in said["error"], "is gone" in said["error"]) == (502, False, True)


def test_a_mistake_in_the_form_is_no_fault_of_the_service(server: Server) -> None:
    said = {"error": "expected a path that starts with '/'"}
    assert ask(server, "/ask", b'{"path": "nowhere"}')[:2] == (400, said)


def test_an_error_for_nobody_is_an_answer_too_and_no_traceback(
    server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    assert ask(server, "/description")[:2] == (500, {"error": "the answer cannot be shown (RecursionError)"})
    assert capfd.readouterr().err == ""


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            ServiceError, match=f"PORT {port} cannot be had.*choose another one: make dashboard STACK=mine PORT="
        ):
            Server(port, "mine", {}, lambda _: None)
    with pytest.raises(ServiceError, match="PORT 99999 cannot be had"):
        Server(99999, "mine", {}, lambda _: None)


def test_a_browser_that_goes_away_leaves_no_traceback(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.server_port)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.sendall(b"GET /page.js HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % server.server_port)
    assert ask(server, "/figures")[0] == 200
    assert capfd.readouterr().err == ""
