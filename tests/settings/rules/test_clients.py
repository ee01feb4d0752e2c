"""Clients are told apart, and each asks for something that is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority, make_certificate
from tests.settings.conftest import Check

JWT = {"issuer": "https://login.example.org", "audience": "triton", "jwksUri": "https://login.example.org/keys"}
TLS = {"certificateFile": "tls.crt", "keyFile": "tls.key"}


def client(**settings: Any) -> dict[str, Any]:
    return {"name": "checkout", **settings}


@pytest.fixture
def secured(project: Path) -> Path:
    """A project with a certificate for the front door, and an authority of clients."""
    make_certificate(project)
    Authority(project)
    return project


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"models": ["digits"], "requestsPerSecond": 50, "maxConcurrent": 8},
        {"models": [], "score": True},
        {"models": ["digits"], "score": True, "keyRotation": {"primary": 2}},
        {"jwt": JWT},
        {"jwt": {**JWT, "claims": {"roles": "scorer"}}, "models": ["digits"]},
        {"jwt": {**JWT, "jwksUri": "http://127.0.0.1:8080/keys"}},
        {"jwt": {**JWT, "jwksUri": "http://localhost:8080/keys"}},
    ],
)
def test_clients_of_each_kind_are_taken(mistakes: Check, settings: dict[str, Any]) -> None:
    assert mistakes({"clients": [client(**settings), client(name="other")]}) == []


def test_a_client_with_a_certificate_is_taken(mistakes: Check, secured: Path) -> None:
    shown = {"caFile": "ca.pem", "subject": "CN=edge,O=Example"}
    both = {"caFile": "ca.pem", "subject": "CN=vault", "withKey": True}
    clients = [client(certificate=shown), client(name="vault", certificate=both, keyRotation={"secondary": 3})]
    assert mistakes({"tls": TLS, "clients": clients}) == []


@pytest.mark.parametrize(
    ("clients", "message"),
    [
        (
            [client(), client()],
            "clients[0].name has the value 'checkout': is there twice; expected a name of its own",
        ),
        (
            [client(name="default")],
            "clients[0].name has the value 'default': is whoever sends primaryKey or secondaryKey; expected a name of "
            "its own",
        ),
        (
            [client(name="Check out")],
            "clients[0].name has the value 'Check out': expected up to 63 lower-case letters, digits and '-', starting "
            "with a letter and not ending with '-'",
        ),
        (
            [client(models=["digits", "digit"])],
            "clients[0].models[1] has the value 'digit': is no model of this service; expected one of digits",
        ),
        (
            [client(models=[])],
            "clients[0].models has the value []: grants nothing; name models, set score to true, or remove the client",
        ),
        (
            [client(score=True)],
            "clients[0].score has the value true: does nothing without models: the client may call /score already; "
            "remove it",
        ),
        ([client(requestsPerSecond=0)], "clients[0].requestsPerSecond has the value 0: expected a number above 0"),
        (
            [client(requestsPerSecond=2**40)],
            f"clients[0].requestsPerSecond has the value {2**40}: expected at most {2**32 - 1}, the most that the "
            "front door takes",
        ),
        (
            [client(jwt=JWT, keyRotation={"primary": 2})],
            "clients[0].keyRotation: does nothing: jwt stands for its keys; remove it",
        ),
        (
            [client(jwt={**JWT, "jwksUri": "http://login.example.org/keys"})],
            "clients[0].jwt.jwksUri has the value 'http://login.example.org/keys': expected https: whoever is between "
            "here and there could put keys of their own in its place",
        ),
        (
            [client(jwt={**JWT, "jwksUri": "login.example.org/keys"})],
            "clients[0].jwt.jwksUri: expected a URL with https and a host, as in 'https://login.example.org/keys'",
        ),
        (
            [client(jwt={**JWT, "caFile": "ca.pem"})],
            "clients[0].jwt.caFile has the value 'ca.pem': expected a PEM file at PROJECT/ca.pem",
        ),
        (
            [client(jwt=JWT), client(name="other", jwt=JWT)],
            "clients[1].jwt: has the same tokens as clients[0]; expected others, or one client",
        ),
    ],
)
def test_what_is_wrong_with_a_client_is_told(mistakes: Check, clients: list[dict[str, Any]], message: str) -> None:
    assert message in mistakes({"clients": clients})


SCORER = {**JWT, "claims": {"roles": "scorer"}}


@pytest.mark.parametrize("first", [JWT, SCORER])
def test_a_client_whose_tokens_another_takes_first_is_refused(mistakes: Check, first: dict[str, Any]) -> None:
    both = {**JWT, "claims": {"roles": "scorer", "team": "risk"}}
    assert mistakes({"clients": [client(jwt=first), client(name="other", jwt=both)]}) == [
        "clients[1].jwt: gets no token: clients[0] stands before it and takes every token with these claims; put "
        "'other' before 'checkout'"
    ]
    assert mistakes({"clients": [client(jwt=both), client(name="other", jwt=first)]}) == []


def test_clients_with_claims_or_audiences_of_their_own_are_taken(mistakes: Check) -> None:
    others = [
        {**JWT, "claims": {"roles": "reader"}},
        {**JWT, "claims": {"team": "scorer"}},
        {**SCORER, "audience": "triton-test"},
        {**SCORER, "issuer": "https://login.example.com"},
    ]
    clients = [client(name=f"client-{index}", jwt=jwt) for index, jwt in enumerate([SCORER, *others])]
    assert mistakes({"clients": clients}) == []


def test_an_issuer_has_its_keys_at_one_place(mistakes: Check, secured: Path) -> None:
    elsewhere = {**JWT, "jwksUri": "https://login.example.org/other"}
    trusting = {**SCORER, "caFile": "ca.pem"}

    def wrong(*jwts: dict[str, Any]) -> list[str]:
        return mistakes({"clients": [client(name=f"client-{index}", jwt=jwt) for index, jwt in enumerate(jwts)]})

    uri, file = (
        f"clients[1].jwt.{name}: differs from clients[0].jwt.{name}; expected the same for one issuer and audience"
        for name in ("jwksUri", "caFile")
    )
    assert wrong(SCORER, elsewhere) == [uri]
    assert wrong(SCORER, {**JWT, "caFile": "ca.pem"}) == [file]
    assert wrong(trusting, JWT) == [file]
    assert wrong(trusting, {**JWT, "caFile": "./ca.pem"}) == []
    assert wrong(trusting, elsewhere) == [uri, file]


@pytest.mark.parametrize(
    "uri", ["https://", "ftp://x/y", "https://u:p@x/keys", "https://x:99999/keys", "https://[x/keys"]
)
def test_an_address_of_keys_that_is_none_is_refused_without_being_quoted(mistakes: Check, uri: str) -> None:
    found = mistakes({"clients": [client(jwt={**JWT, "jwksUri": uri})]})
    expected = "expected a URL with https and a host, as in 'https://login.example.org/keys'"
    assert f"clients[0].jwt.jwksUri: {expected}" in found
    assert "u:p@" not in " ".join(found)


def test_clients_need_authentication_and_certificates_need_tls(mistakes: Check, project: Path) -> None:
    Authority(project)
    clients = [client(certificate={"caFile": "ca.pem", "subject": "CN=edge"})]
    assert mistakes({"clients": clients}) == [
        "clients[0].certificate: needs tls: without it no client can show a certificate"
    ]
    assert mistakes({"clients": [client()], "deployment": {"authEnabled": False}}) == [
        "clients: need deployment.authEnabled: without it the front door asks nobody who they are; remove them, or set "
        "it to true"
    ]


def test_what_is_wrong_with_a_certificate_is_told(mistakes: Check, secured: Path) -> None:
    (secured / "none.pem").write_text("nothing of the kind\n")
    shown = {"caFile": "ca.pem", "subject": "CN=edge"}

    def wrong(*certificates: dict[str, Any], **settings: Any) -> list[str]:
        clients = [
            client(name=f"client-{index}", certificate=certificate, **settings)
            for index, certificate in enumerate(certificates)
        ]
        return mistakes({"tls": TLS, "clients": clients})

    assert wrong({**shown, "caFile": "none.pem"}) == [
        "clients[0].certificate.caFile has the value 'none.pem': expected a file with certificates in PEM"
    ]
    assert wrong({**shown, "subject": "edge"}) == [
        "clients[0].certificate.subject has the value 'edge': expected a subject as RFC 4514 writes it, as in "
        "'CN=edge,O=Example' (openssl x509 -noout -subject -nameopt RFC2253)"
    ]
    assert wrong(shown, shown) == [
        "clients[1].certificate.subject: has the same subject as clients[0]; expected others, or one client"
    ]
    assert wrong(shown, jwt=JWT) == [
        "clients[0].certificate: expected jwt or certificate, not both; make two clients of it, or remove one of the "
        "two"
    ]
    Authority(secured / "other")
    (found,) = wrong(shown, {"caFile": "other/ca.pem", "subject": "CN=b"})
    assert found.startswith(
        "clients[1].certificate.caFile has the value 'other/ca.pem': expected 'ca.pem', as the other"
    )


def test_scores_need_a_script(mistakes: Check) -> None:
    changes = {"entryScript": None, "clients": [client(models=["digits"], score=True)]}
    assert mistakes(changes) == [
        "clients[0].score has the value true: needs an entryScript, which answers /score; remove it"
    ]
