"""The check of a service on a node pool, with servers of this machine in the cluster's place."""

import contextlib
import http.server
import ssl
import threading
from datetime import datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from common import waiting
from provider.resources.node_pool_check import NodePoolCheckType
from targets.machine.ports import free_ports
from targets.node_pool import check
from targets.smoke_check import SmokeCheckError
from tests.provider.asking import create

KEY = "k" * 43


class Door(http.server.BaseHTTPRequestHandler):
    """A front door that is not ready for the first `unready` requests."""

    unready = 0

    def do_GET(self):
        if type(self).unready > 0:
            type(self).unready -= 1
            status = 503
        else:
            status = 200 if self.headers.get("Authorization") == f"Bearer {KEY}" else 401
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(door=Door, certificate=None):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), door)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def certificate(tmp_path):
    """A PEM file with a certificate of models.example and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "models.example")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("models.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path / "models.example.pem"
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


def properties(address, **changed):
    return {
        "context": "",
        "namespace": "serving",
        "service": "svc",
        "containerPort": 8080,
        "scheme": "http",
        "address": address,
        "serverName": "",
        "patienceSeconds": 5,
        "key": KEY,
        "certificate": "",
        "bundles": [],
        "score": None,
        "sleeps": False,
        "settings": "digest",
        "generation": "g",
        **changed,
    }


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(check, "_POLL_SECONDS", 0.01)


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """What was asked of a cluster whose port-forwards lead to a front door."""
    asked = []

    class Cluster:
        @contextlib.contextmanager
        def forwarded(self, namespace, service, port):
            asked.append((namespace, service, port))
            with serving() as address:
                yield int(address.rpartition(":")[2])

    monkeypatch.setattr(NodePoolCheckType.inputs, "open", lambda _inputs: Cluster())
    return asked


def test_a_load_balancer_is_asked_at_its_address(asked):
    with serving() as address:
        outputs = create("NodePoolCheck", properties(address))
    assert outputs["checks"] == 2
    assert asked == []


def test_a_service_that_wakes_up_is_waited_for():
    class Sleepy(Door):
        unready = 20

    with serving(Sleepy) as address:
        assert create("NodePoolCheck", properties(address))["checks"] == 2


def test_one_that_never_answers_fails_with_its_last_word():
    class Dead(Door):
        unready = 10**9

    with serving(Dead) as address, pytest.raises(SmokeCheckError, match="no answer within 1 s; the last was: 503"):
        create("NodePoolCheck", properties(address, patienceSeconds=1))


@pytest.mark.parametrize("address", ["a load balancer that takes no connection", "a service that never answers"])
def test_cancel_ends_its_waits(address, monkeypatch):
    class Dead(Door):
        unready = 10**9

    monkeypatch.setattr(waiting, "_cancelled", threading.Event())
    with serving(Dead) as dead:
        place = dead if "service" in address else f"127.0.0.1:{free_ports(1)[0]}"
        threading.Timer(0.3, waiting.cancel).start()
        with pytest.raises(waiting.Cancelled):
            create("NodePoolCheck", properties(place, patienceSeconds=60))


def test_a_wrong_key_fails_the_check():
    with serving() as address, pytest.raises(SmokeCheckError, match="GET /: expected 200, received 401"):
        create("NodePoolCheck", properties(address, key="another key"))


def test_the_certificate_is_expected_of_the_services_host_whatever_the_address(certificate):
    secured = {"scheme": "https", "certificate": str(certificate)}
    with serving(certificate=certificate) as address:
        named = properties(address, serverName="models.example", **secured)
        assert create("NodePoolCheck", named)["checks"] == 2
        with pytest.raises(SmokeCheckError, match="certificate verify failed"):
            create("NodePoolCheck", properties(address, patienceSeconds=1, **secured))


def test_a_load_balancer_that_lets_others_in_is_passed_by_in_favour_of_a_port_forward(asked, monkeypatch):
    monkeypatch.setattr(check, "_BALANCER_SECONDS", 0)
    closed = f"127.0.0.1:{free_ports(1)[0]}"
    assert create("NodePoolCheck", properties(closed))["checks"] == 2
    assert asked == [("serving", "svc", 8080)]


def test_without_an_address_it_goes_by_port_forward(asked):
    assert create("NodePoolCheck", properties(""))["checks"] == 2
    assert asked == [("serving", "svc", 8080)]
