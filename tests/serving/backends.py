"""Backends of the scripts under test, in threads of the tests: one speaks lines, one HTTP, one is a slow Triton."""

import http.server
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

ANSWER_SECONDS = 0.002


class _Lines(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            time.sleep(ANSWER_SECONDS)
            self.wfile.write(line)


class _Http(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(ANSWER_SECONDS)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running() -> Iterator[dict[str, str]]:
    """Start two backends that send back each line and each body; their ports are the variables LINES and HTTP."""
    backends = {"LINES": socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Lines)}
    backends["HTTP"] = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Http)
    for backend in backends.values():
        backend.daemon_threads = True
        threading.Thread(target=backend.serve_forever, daemon=True).start()
    yield {name: str(backend.server_address[1]) for name, backend in backends.items()}
    for backend in backends.values():
        backend.shutdown()
        backend.server_close()


@contextmanager
def slow_triton(seconds: float) -> Iterator[int]:
    """Start a server that answers each GET with an empty object after some seconds, and give its port."""

    class Slow(_Http):
        def do_GET(self) -> None:
            time.sleep(seconds)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
