"""Clients that show a certificate: alone, or beside a key of their own."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.x509.oid import NameOID

from gateway import envoy_files, envoy_folder
from gateway.clients import Certificate, Client, Jwt
from gateway.front_door_options import Upstreams
from tests.certificates import Authority
from tests.gateway.conftest import Answer, Gateway, Upstream, running, triton_of
from tests.gateway.test_tls import certificate, trusting
from tests.waiting import eventually

REFUSED = (ssl.SSLError, ConnectionError, http.client.HTTPException)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificate")


@pytest.fixture(scope="module")
def door(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, folder: Path, echo: Upstream, scorer_echo: Upstream
) -> Iterator[Gateway]:
    clients = (
        Client(name="edge", certificate=Certificate(ca=authority.pem, subject="CN=edge"), models=("wine",)),
        Client(name="branch", certificate=Certificate(ca=authority.pem, subject="CN=branch,O=Example"), score=True),
        Client(name="vault", certificate=Certificate(ca=authority.pem, subject="CN=vault", with_key=True)),
        Client(name="keyed"),
    )
    tls = certificate(folder, "door")
    upstreams = Upstreams(triton_of(echo), scorer_echo.address)
    with running(tmp_path_factory.mktemp("certified"), upstreams, tls=tls, clients=clients) as gateway:
        yield gateway


def ask(door: Gateway, folder: Path, shown: Path | None, path: str = "/", key: str | None = None) -> Answer:
    context = trusting(folder)
    if shown is not None:
        context.load_cert_chain(shown)
    with contextlib.closing(door.connect(context)) as connection:
        return door.ask("GET", path, key=key, connection=connection)


def name(answer: Answer) -> str | None:
    return answer.json()["headers"]["x-client-name"] if answer.status == 200 else None


def test_a_certificate_of_the_authority_opens_in_its_clients_name(
    door: Gateway, folder: Path, authority: Authority
) -> None:
    edge = authority.issue((NameOID.COMMON_NAME, "edge"))
    branch = authority.issue((NameOID.ORGANIZATION_NAME, "Example"), (NameOID.COMMON_NAME, "branch"))
    assert name(ask(door, folder, edge)) == "edge"
    assert name(ask(door, folder, branch)) == "branch"
    assert ask(door, folder, edge, "/v2/models/wine").status == 200
    assert ask(door, folder, edge, "/v2/models/churn").status == 403
    assert "x-forwarded-client-cert" not in ask(door, folder, edge).json()["headers"]


@pytest.mark.parametrize("subject", ["edge2", "edg", "EDGE", "vault", "nobody", "edge,O=Example"])
def test_another_subject_opens_nothing(door: Gateway, folder: Path, authority: Authority, subject: str) -> None:
    answer = ask(door, folder, authority.issue((NameOID.COMMON_NAME, subject)))
    assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="service"')


def test_without_a_certificate_keys_go_on(door: Gateway, folder: Path, authority: Authority) -> None:
    assert name(ask(door, folder, None, key=door.keys.primary)) == "default"
    assert name(ask(door, folder, None, key=door.client_keys["keyed"].primary)) == "keyed"
    assert ask(door, folder, None).status == 401
    assert ask(door, folder, None, key="wrong-key-wrong-key").status == 401
    edge = authority.issue((NameOID.COMMON_NAME, "edge"))
    assert name(ask(door, folder, edge, key=door.client_keys["keyed"].primary)) == "keyed"


def test_a_client_that_needs_both_needs_both(door: Gateway, folder: Path, authority: Authority) -> None:
    vault, edge = (authority.issue((NameOID.COMMON_NAME, subject)) for subject in ("vault", "edge"))
    key = door.client_keys["vault"].secondary
    assert name(ask(door, folder, vault, key=key)) == "vault"
    assert ask(door, folder, vault).status == 401
    assert ask(door, folder, None, key=key).status == 401
    assert ask(door, folder, edge, key=key).status == 401
    assert "edge" not in door.client_keys


def test_a_certificate_of_another_authority_gets_no_connection(
    door: Gateway, folder: Path, authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger")
    for shown in (
        stranger.issue((NameOID.COMMON_NAME, "edge")),
        authority.issue((NameOID.COMMON_NAME, "edge"), days=-1),
    ):
        with pytest.raises(REFUSED):
            ask(door, folder, shown)


def test_a_removed_client_is_shut_out_on_its_open_connection(
    tmp_path: Path, authority: Authority, scorer_echo: Upstream
) -> None:
    folder = tmp_path / "certificate"
    clients = tuple(
        Client(name=known, certificate=Certificate(ca=authority.pem, subject=f"CN={known}"))
        for known in ("edge", "mill")
    )
    tls = certificate(folder, "door")
    with running(tmp_path / "envoy", Upstreams(scorer=scorer_echo.address), tls=tls, clients=clients) as door:
        context = trusting(folder)
        context.load_cert_chain(authority.issue((NameOID.COMMON_NAME, "edge")))
        with contextlib.closing(door.connect(context)) as connection:
            assert name(door.ask("GET", "/", key=None, connection=connection)) == "edge"
            options = dataclasses.replace(door.options, clients=clients[1:])
            rendered = envoy_files.render(options) | envoy_files.render_keys(door.keys, clients[1:])
            assert envoy_folder.install(door.directory, rendered, door.admin) == ["keys.json"]
            assert door.ask("GET", "/", key=None, connection=connection).status == 401
            rendered = envoy_files.render(dataclasses.replace(options, clients=())) | envoy_files.render_keys(door.keys)
            envoy_folder.install(door.directory, rendered, door.admin)
            mill = authority.issue((NameOID.COMMON_NAME, "mill"))
            eventually(lambda: ask(door, folder, mill).status == 401)


def test_envoy_calls_nothing_of_it_unfinished_or_outdated(
    tmp_path: Path, authority: Authority, echo: Upstream, scorer_echo: Upstream
) -> None:
    """Envoy's security team covers no feature that Envoy warns of as work in progress."""
    jwt = Jwt(issuer="i", audience="a", jwks_uri="http://127.0.0.1:9/keys", claims={"a": "b"})
    clients = (
        Client(name="keyed", models=("wine",), requests_per_second=5, max_concurrent=5),
        Client(name="nightly", jwt=jwt),
        Client(name="edge", certificate=Certificate(ca=authority.pem, subject="CN=edge", with_key=True)),
    )
    tls = certificate(tmp_path / "certificate", "door")
    with running(tmp_path / "envoy", Upstreams(triton_of(echo), scorer_echo.address), tls=tls, clients=clients) as door:
        metrics = door.stats("/stats/prometheus").body
        assert b"envoy_server_wip_protos{} 0\n" in metrics
        assert "deprecated" not in door.log.read_text()
