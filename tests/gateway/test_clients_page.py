"""What `docs/clients.md` quotes of clients is what a front door answers, and its settings are settings."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cryptography.x509.oid import NameOID

from gateway.clients import Certificate, Client, Jwt
from gateway.front_door_options import Upstreams
from settings.clients import ClientSettings, door_clients
from settings.rate_limit_service import RateLimitService
from tests.certificates import Authority
from tests.examples.page import Page
from tests.gateway.conftest import Answer, Gateway, Upstream, running, triton_of
from tests.gateway.issuer import URL, issuing
from tests.gateway.test_tls import certificate, trusting
from tests.waiting import eventually

PAGE = Page("clients.md")


def declared(name: str) -> ClientSettings:
    """A client of the page's settings."""
    (text,) = [block for block in PAGE.blocks("yaml") if f"name: {name}" in block]
    return ClientSettings.model_validate(yaml.safe_load(text)["triton-serving:clients"][0])


@pytest.fixture
def door(tmp_path: Path, echo: Upstream, scorer_echo: Upstream) -> Iterator[Gateway]:
    clients = door_clients([declared("checkout")])
    with running(tmp_path, Upstreams(triton_of(echo), scorer_echo.address), clients=clients) as gateway:
        yield gateway


def quoted(answer: Answer) -> bool:
    """Whether the page has the status, the challenge and the error of an answer."""
    challenge = answer.headers.get("www-authenticate", "")
    lines = [f"HTTP/1.1 {answer.status} ", json.dumps(answer.json(), separators=(",", ":"))]
    lines += [f"www-authenticate: {challenge}\n"] if challenge else [f"retry-after: {answer.headers['retry-after']}"]
    return all(line in PAGE.text for line in lines)


def test_refusals_are_quoted_as_they_are(door: Gateway) -> None:
    key = door.client_keys["checkout"].primary
    assert door.ask("GET", "/v2/models/digits", key=key).status == 200
    assert quoted(door.ask("GET", "/v2/models/churn", key=key))
    assert quoted(door.ask("GET", "/v2", key="wrong-wrong-wrong-wrong"))
    answers = [door.ask("POST", "/v2/models/digits/infer", b"{}", key=key) for _ in range(40)]
    assert quoted(next(answer for answer in answers if answer.status == 429))


def test_a_rate_limit_service_is_configured_for_what_it_is_asked() -> None:
    (text,) = [block for block in PAGE.blocks("yaml") if "rateLimitService:" in block]
    service = RateLimitService.model_validate(yaml.safe_load(text)["triton-serving:deployment"]["rateLimitService"])
    (text,) = [block for block in PAGE.blocks("yaml") if block.startswith("domain:")]
    theirs = yaml.safe_load(text)
    assert theirs["domain"] == service.domain
    checkout, others = theirs["descriptors"]
    assert (checkout["key"], checkout["value"], others["key"]) == ("client", "checkout", "client")
    assert checkout["rate_limit"]["requests_per_unit"] == declared("checkout").requests_per_second


def test_tokens_are_answered_as_the_page_says(tmp_path: Path, scorer_echo: Upstream) -> None:
    with issuing() as issuer:
        jwt = declared("nightly").jwt
        assert jwt is not None
        known = Jwt(issuer=URL, audience=jwt.audience, jwks_uri=issuer.jwks_uri, claims=jwt.claims)
        with running(
            tmp_path, Upstreams(scorer=scorer_echo.address), clients=(Client(name="nightly", jwt=known),)
        ) as door:

            def ask(**claims: object) -> Answer:
                headers = {"Authorization": f"Bearer {issuer.token(**claims)}"}
                return door.ask("POST", "/score", b"{}", headers, key=None)

            eventually(lambda: ask(roles="scorer").status == 200)
            assert quoted(ask(roles="scorer", exp=int(time.time()) - 86400))
            assert quoted(ask(roles="reader"))


def test_certificates_are_answered_as_the_page_says(tmp_path: Path, scorer_echo: Upstream) -> None:
    certified = declared("edge").certificate
    assert certified is not None
    authority = Authority(tmp_path / "authority")
    edge = Client(name="edge", certificate=Certificate(ca=authority.pem, subject=certified.subject))
    tls = certificate(tmp_path / "tls", "door")
    with running(tmp_path / "door", Upstreams(scorer=scorer_echo.address), tls=tls, clients=(edge,)) as door:

        def ask(name: str) -> Answer:
            context = trusting(tmp_path / "tls")
            context.load_cert_chain(
                authority.issue((NameOID.ORGANIZATION_NAME, "Example"), (NameOID.COMMON_NAME, name))
            )
            with contextlib.closing(door.connect(context)) as connection:
                return door.ask("POST", "/score", b"{}", key=None, connection=connection)

        assert ask("edge").status == 200
        assert quoted(ask("other"))


def test_the_settings_of_each_kind_of_client_are_settings() -> None:
    assert declared("checkout").has_keys
    assert declared("nightly").jwt is not None
    certificate = declared("edge").certificate
    assert certificate is not None
    assert f"subject={certificate.subject}" in PAGE.text
