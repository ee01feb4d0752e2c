"""TLS at the front door: the certificate is served, exchanged while connections go on, and never half taken."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from gateway.admin import RejectedError
from gateway.front_door_options import Tls, Upstreams
from tests.certificates import make_certificate
from tests.gateway.conftest import Gateway, Upstream, running
from tests.waiting import eventually


def certificate(folder: Path, name: str) -> Tls:
    """A certificate whose subject is `name`."""
    return Tls(*map(str, make_certificate(folder, name)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "certificate"


@pytest.fixture
def secured(tmp_path: Path, folder: Path, scorer_echo: Upstream) -> Iterator[Gateway]:
    tls = certificate(folder, "first")
    with running(tmp_path / "envoy", Upstreams(scorer=scorer_echo.address), tls=tls) as gateway:
        yield gateway


def trusting(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(folder / "tls.crt"))
    context.check_hostname = False
    return context


def served(gateway: Gateway) -> str:
    """The subject of the certificate that a new connection is shown."""
    pem = ssl.get_server_certificate(("127.0.0.1", gateway.options.listen.port), timeout=5)
    (name,) = x509.load_pem_x509_certificate(pem.encode()).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(name.value)


def test_the_front_door_speaks_tls_with_its_certificate(secured: Gateway, folder: Path) -> None:
    with contextlib.closing(secured.connect(trusting(folder))) as connection:
        assert connection.sock.version() == "TLSv1.3"
        assert secured.ask("POST", "/score", b"{}", connection=connection).status == 200
        assert secured.ask("POST", "/score", b"{}", key=None, connection=connection).status == 401
    assert served(secured) == "first"


def test_it_offers_http_2(secured: Gateway, folder: Path) -> None:
    context = trusting(folder)
    context.set_alpn_protocols(["h2"])
    with contextlib.closing(secured.connect(context)) as connection:
        assert connection.sock.selected_alpn_protocol() == "h2"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_old_tls_is_refused(secured: Gateway, folder: Path) -> None:
    context = trusting(folder)
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        secured.connect(context)


def test_plain_http_gets_no_answer(secured: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", secured.options.listen.port), timeout=10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP" not in client.recv(1000)


def test_a_renewed_certificate_is_taken_and_open_connections_go_on(secured: Gateway, folder: Path) -> None:
    with contextlib.closing(secured.connect(trusting(folder))) as connection:
        assert secured.ask("GET", "/", connection=connection).status == 200
        certificate(folder, "second")
        eventually(lambda: served(secured) == "second")
        assert secured.ask("GET", "/", connection=connection).status == 200


def test_a_certificate_without_its_key_leaves_the_one_before(secured: Gateway, folder: Path, tmp_path: Path) -> None:
    certificate(tmp_path / "other", "other")
    (tmp_path / "other" / "tls.crt").replace(folder / "tls.crt")
    eventually(lambda: re.search(rb"key_rotation_failed\S* 1\n", secured.stats("/stats/prometheus").body) is not None)
    assert served(secured) == "first"
    # the renewal is complete with its key
    (tmp_path / "other" / "tls.key").replace(folder / "tls.key")
    eventually(lambda: served(secured) == "other")


def test_a_certificate_that_is_none_keeps_the_door_shut_and_envoy_says_why(
    tmp_path: Path, folder: Path, scorer_echo: Upstream
) -> None:
    tls = certificate(folder, "first")
    Path(tls.certificate).write_text("not a certificate\n")
    with (
        pytest.raises(RejectedError, match=r"refused .*\.json at its start: .*certificate"),
        running(tmp_path / "envoy", Upstreams(scorer=scorer_echo.address), tls=tls),
    ):
        pass
